//! Performs an import: no decisions here.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::browser::{fetch, platform};
use crate::http::Answer;
use crate::import::{Action, Ending, ImportRun, TaskId};

type UnderWay = Pin<Box<dyn Future<Output = (TaskId, Answer)>>>;

/// Performs `run` to its end. `keep` is called before anything is sent, `show` after every finished task and before every
/// wait.
pub(crate) async fn perform(
    run: &mut ImportRun,
    keep: &mut dyn FnMut(&ImportRun),
    show: &dyn Fn(&ImportRun),
) -> Ending {
    let mut under_way: Vec<UnderWay> = Vec::new();
    loop {
        match run.next_action(platform::now()) {
            Action::Perform(task, request) => {
                keep(run);
                under_way.push(Box::pin(async move { (task, fetch::send(request).await) }));
            }
            Action::AwaitFinish => {
                let (task, answer) = next_finished(&mut under_way).await;
                run.finish(task, answer, platform::now());
                show(run);
            }
            Action::AwaitTime(until) => {
                show(run);
                // A second at a time, so that the patient sees it pass.
                let wait = until.saturating_sub(platform::now()).min(1_000);
                let mut pause = platform::pause(u32::try_from(wait).unwrap_or_default());
                let finished = poll_fn(|context| match poll_finished(&mut under_way, context) {
                    Poll::Ready(finished) => Poll::Ready(Some(finished)),
                    Poll::Pending => Pin::new(&mut pause).poll(context).map(|_| None),
                });
                if let Some((task, answer)) = finished.await {
                    run.finish(task, answer, platform::now());
                    show(run);
                }
            }
            Action::Complete => return run.ending(),
        }
    }
}

/// The first of the tasks to finish, which is taken out.
async fn next_finished(under_way: &mut Vec<UnderWay>) -> (TaskId, Answer) {
    poll_fn(|context| poll_finished(under_way, context)).await
}

fn poll_finished(
    under_way: &mut Vec<UnderWay>,
    context: &mut Context<'_>,
) -> Poll<(TaskId, Answer)> {
    for index in 0..under_way.len() {
        let polled = under_way
            .get_mut(index)
            .map(|task| task.as_mut().poll(context));
        if let Some(Poll::Ready(finished)) = polled {
            drop(under_way.swap_remove(index));
            return Poll::Ready(finished);
        }
    }
    Poll::Pending
}

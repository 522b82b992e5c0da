//! Performs an import: no decisions here.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::browser::fetch;
use crate::http::Answer;
use crate::import::{Action, Ending, ImportRun, TaskId};

type UnderWay = Pin<Box<dyn Future<Output = (TaskId, Answer)>>>;

/// Performs `run` to its end; `show` is called after every finished task.
pub(crate) async fn perform(run: &mut ImportRun, mut show: impl FnMut(&ImportRun)) -> Ending {
    let mut under_way: Vec<UnderWay> = Vec::new();
    loop {
        match run.next_action() {
            Action::Perform(task, request) => {
                under_way.push(Box::pin(async move { (task, fetch::send(request).await) }));
            }
            Action::AwaitFinish => {
                let (task, answer) = next_finished(&mut under_way).await;
                run.finish(task, answer);
                show(run);
            }
            Action::Complete => return run.ending(),
        }
    }
}

/// The first of the tasks to finish, which is taken out.
async fn next_finished(under_way: &mut Vec<UnderWay>) -> (TaskId, Answer) {
    poll_fn(|context| {
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
    })
    .await
}

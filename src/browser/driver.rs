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

/// So often the screen is brought up to date while nothing happens, in milliseconds.
const TICK_MS: u64 = 1_000;

/// Performs `run` to its end. `keep` is called before anything is sent, `show` before every wait and every second of it.
pub(crate) async fn perform(
    run: &mut ImportRun,
    keep: &mut dyn FnMut(&ImportRun),
    show: &dyn Fn(&ImportRun),
) -> Ending {
    let mut under_way: Vec<UnderWay> = Vec::new();
    // A second that is not over yet serves the next wait too: tasks finish much more often.
    let mut tick = None;
    loop {
        let now = platform::now();
        let wait = match run.next_action(now) {
            Action::Perform(task, request) => {
                keep(run);
                under_way.push(Box::pin(async move { (task, fetch::send(request).await) }));
                continue;
            }
            Action::AwaitFinish => TICK_MS,
            Action::AwaitTime(until) => until.saturating_sub(now).min(TICK_MS),
            Action::Complete => return run.ending(),
        };
        show(run);
        let pause = tick.take().filter(|_| wait == TICK_MS);
        let mut pause =
            pause.unwrap_or_else(|| platform::pause(u32::try_from(wait).unwrap_or_default()));
        let finished = poll_fn(|context| match poll_finished(&mut under_way, context) {
            Poll::Ready(finished) => Poll::Ready(Some(finished)),
            Poll::Pending => Pin::new(&mut pause).poll(context).map(|_| None),
        });
        if let Some((task, answer)) = finished.await {
            run.finish(task, answer, platform::now());
            tick = (wait == TICK_MS).then_some(pause);
        }
    }
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

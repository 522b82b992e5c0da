//! Performs an import: no decisions here.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::browser::progress::Panel;
use crate::browser::view::View;
use crate::browser::{fetch, platform};
use crate::http::Answer;
use crate::import::{Action, Ending, ImportRun, TaskId};
use crate::screen::Act;

type UnderWay = Pin<Box<dyn Future<Output = (TaskId, Answer)>>>;

/// So often the screen is brought up to date while nothing happens, in milliseconds.
const TICK_MS: u64 = 1_000;

/// Performs `run` to its end, or until the patient ends it. `keep` is called before anything is sent.
pub(crate) async fn perform(
    run: &mut ImportRun,
    view: &View,
    panel: &Panel,
    keep: &mut dyn FnMut(&ImportRun),
) -> Ending {
    let mut under_way: Vec<UnderWay> = Vec::new();
    // A second that is not over yet serves the next wait too: tasks finish much more often.
    let mut tick = None;
    loop {
        while let Some(act) = view.act() {
            heed(act, run, panel);
        }
        let now = platform::now();
        let wait = match run.next_action(now) {
            Action::Perform(task, request) => {
                keep(run);
                under_way.push(Box::pin(async move { (task, fetch::send(request).await) }));
                continue;
            }
            Action::AwaitFinish => TICK_MS,
            Action::AwaitTime(until) => until.saturating_sub(now).min(TICK_MS),
            Action::Complete => {
                panel.tell(run);
                return run.ending();
            }
        };
        panel.update(run, now);
        let pause = tick.take().filter(|_| wait == TICK_MS);
        let mut pause =
            pause.unwrap_or_else(|| platform::pause(u32::try_from(wait).unwrap_or_default()));
        let met = poll_fn(|context| {
            if let Poll::Ready(finished) = poll_finished(&mut under_way, context) {
                return Poll::Ready(Met::Finished(finished));
            }
            if view.awaits_notice(context.waker()) {
                return Poll::Ready(Met::Act);
            }
            let pause = Pin::new(&mut pause);
            pause.poll(context).map(|_| Met::Tick)
        });
        let met = met.await;
        if let Met::Finished((task, answer)) = met {
            run.finish(task, answer, platform::now());
            tick = (wait == TICK_MS).then_some(pause);
        }
    }
}

/// What a wait ends with.
enum Met {
    Finished((TaskId, Answer)),
    Act,
    Tick,
}

/// Tells the run what the patient wants.
fn heed(act: Act, run: &mut ImportRun, panel: &Panel) {
    match act {
        Act::Pause => run.pause(),
        Act::Resume => run.resume(),
        Act::Stop => {
            run.stop_here();
            panel.stopping();
        }
        _ => {}
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

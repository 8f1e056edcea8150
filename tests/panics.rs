//! How a panic in a policy or an observer ends a run.

mod made_up_policy;
mod two_sigma_model;

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use made_up_policy::{Policy, all};
use offramp::exit::Bounds;
use offramp::{Event, Request};
use two_sigma_model::*;

/// A policy that counts the evaluations that have begun, and panics in the one numbered `panics_at`.
fn counting(panics_at: Option<usize>) -> (Policy, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let policy = Policy::new(Bounds { min: 1, max: 2 }, move |view| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        assert!(panics_at != Some(number), "the policy is at a loss");
        Ok(Some(all(false, view)))
    });
    (policy, begun)
}

/// Many micro-batches, enough that a run which does not stop is easily told from one which does.
const MANY: usize = 500;

/// What may still begin after a panic: events that fit into the channel, and what each worker is at.
const FEW: usize = 100;

/// Runs many micro-batches on two workers, to the panic; gives its message.
fn panic_of(policy: Policy, observer: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> String {
    let model = model(|_| ());
    let sampler = sampler(&model).with_exit(policy).with_batch(1).with_threads(2);
    let request = Request::classes([1; MANY], SEED);
    // Workers of so small a network have one libtorch thread each; the caller has three.
    tch::set_num_threads(3);
    let mut observer = observer;
    // The default hook may print a backtrace, and the run can stop no sooner than that is done.
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let ended = catch_unwind(AssertUnwindSafe(|| sampler.run(&request, &mut observer)));
    set_hook(hook);
    let payload = ended.unwrap_err();
    assert_eq!(tch::get_num_threads(), 3);
    message(&*payload)
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[test]
fn a_panic_in_the_observer_ends_the_run_with_that_panic() {
    let _alone = alone();
    let (policy, begun) = counting(None);
    let mut at_panic = 0;
    let mut observer = |event: &Event| {
        if event.image() == 5 {
            at_panic = begun.load(Ordering::SeqCst);
            panic!("the observer is at a loss");
        }
        ControlFlow::Continue(())
    };
    assert_eq!(panic_of(policy, &mut observer), "the observer is at a loss");
    let after = begun.load(Ordering::SeqCst) - at_panic;
    assert!(after <= FEW, "{after} evaluations began after the panic");
}

#[test]
fn a_panic_in_a_policy_ends_the_run() {
    let _alone = alone();
    let (policy, begun) = counting(Some(20));
    let mut observer = |_: &Event| ControlFlow::Continue(());
    assert_eq!(panic_of(policy, &mut observer), "the policy is at a loss");
    let after = begun.load(Ordering::SeqCst) - 21;
    assert!(after <= FEW, "{after} evaluations began after the panic");
}

//! What an App's own way to connect may do.

#![allow(clippy::unwrap_used)] // A test may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use landline::{App, Callbacks, Error, Exit, Never, Outbox, SendProblem, Timeout, WhenFull};

use crate::support;

use support::{LIMIT, watchdog};

fn app() -> App<Callbacks<'static>> {
    App::new("", Callbacks::new()).backoff(Never)
}

#[test]
fn it_sends_more_than_the_outbox_holds_and_does_not_wait_for_the_app_that_waits_for_it() {
    watchdog(LIMIT, || {
        let app = app().outbox(Outbox::new().max_messages(1).when_full(WhenFull::Block));
        let handle = app.handle();
        let app = app.connect_with(move |_| {
            handle.send("fits").unwrap();
            let error = handle.send("does not").unwrap_err();
            assert!(matches!(error.problem(), SendProblem::Full), "{error}");
            Err(Error::Timeout(Timeout::Connect))
        });
        let handle = app.handle();
        let exit = app.run_forever().unwrap();
        assert!(matches!(exit, Exit::GaveUp { attempts: 1, .. }), "{exit}");
        assert_eq!(handle.take_unsent().len(), 1);
    });
}

#[test]
fn it_panics_and_the_panic_goes_on() {
    watchdog(LIMIT, || {
        let app = app().connect_with(|_| panic!("on purpose"));
        let handle = app.handle();
        let panic = catch_unwind(AssertUnwindSafe(|| app.run_forever())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        let error = handle.send("late").unwrap_err();
        assert!(matches!(error.problem(), SendProblem::Stopped), "{error}");
    });
}

//! Holds the types around an [`App`](crate::App): how it ends, what its [`Handle`](crate::Handle)
//! says, and the queue for what is sent while there is no connection.
//!
//! The guides [`reconnecting`](crate::guide::reconnecting) and [`sending`](crate::guide::sending)
//! have examples.

mod attempts;
pub(crate) mod backoff;
pub(crate) mod callbacks;
pub(crate) mod connections;
mod exit;
pub(crate) mod handle;
pub(crate) mod handler;
mod outbox;
mod outbox_thread;
mod pace;
mod replace;
pub(crate) mod run;
mod session;
mod shared;
mod ticket;

pub use attempts::Attempt;
pub use callbacks::CallbackResult;
pub use connections::{Connection, Connections};
pub use exit::{AppThread, Exit};
pub use handle::{Backlog, Delivery, SendError, SendProblem};
pub use handler::Open;
pub use outbox::{Outbox, WhenFull};
pub use ticket::{Fate, Ticket};

//! What the programs in `src/bin` share: the server, the contenders, and the rounds.

pub mod client;
pub mod rounds;
pub mod server;
pub mod wire;

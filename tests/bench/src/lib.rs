//! Shared by the programs in `src/bin`: the servers, the contenders, and the rounds.

pub mod client;
pub mod compressed;
pub mod heap;
pub mod memory;
pub mod process;
pub mod rounds;
pub mod server;
pub mod wire;

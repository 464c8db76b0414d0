//! Shared by the programs in `src/bin`: the server, the contenders, and what they measure.

pub mod compressed;
pub mod contender;
pub mod heap;
pub mod memory;
pub mod message;
pub mod plan;
pub mod process;
pub mod server;
pub mod wire;
pub mod worker;

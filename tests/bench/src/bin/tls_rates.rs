//! Measures the same as `rates`, over TLS: rustls with ring on both sides, for all contenders.

use landline_bench::client::Target;
use landline_bench::rounds::{Plan, Task};
use landline_bench::server;

fn main() {
    let plan = Plan::from_args();
    let (address, config) = server::tls();
    let target = Target { address, tls: Some(config) };
    let bytes = |len: usize| plan.count(256 << 20).div_ceil(len);
    plan.play(
        &target,
        &[
            Task::Echo { count: plan.count(5_000) },
            Task::Receive { len: 16, count: plan.count(5_000_000) },
            Task::ReceiveOwned { len: 16, count: plan.count(5_000_000) },
            Task::Send { len: 16, count: plan.count(100_000) },
            Task::SendBatch { len: 16, count: plan.count(2_000_000) },
            Task::Receive { len: 1 << 20, count: bytes(1 << 20) },
            Task::ReceiveOwned { len: 1 << 20, count: bytes(1 << 20) },
            Task::Send { len: 1 << 20, count: bytes(1 << 20) },
        ],
    );
}

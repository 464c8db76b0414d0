//! Measures round trips, messages and bytes a second over a plain loopback connection.

use landline_bench::client::Target;
use landline_bench::rounds::{Plan, Task};
use landline_bench::server;

fn main() {
    let plan = Plan::from_args();
    let target = Target { address: server::plain(), tls: None };
    let bytes = |len: usize| plan.count(512 << 20).div_ceil(len);
    plan.play(
        &target,
        &[
            Task::Echo { count: plan.count(10_000) },
            Task::Receive { len: 16, count: plan.count(5_000_000) },
            Task::ReceiveOwned { len: 16, count: plan.count(5_000_000) },
            Task::Send { len: 16, count: plan.count(200_000) },
            Task::SendBatch { len: 16, count: plan.count(5_000_000) },
            Task::Receive { len: 64 << 10, count: bytes(64 << 10) },
            Task::ReceiveOwned { len: 64 << 10, count: bytes(64 << 10) },
            Task::Receive { len: 1 << 20, count: bytes(1 << 20) },
            Task::ReceiveOwned { len: 1 << 20, count: bytes(1 << 20) },
            Task::Receive { len: 16 << 20, count: bytes(16 << 20) },
            Task::ReceiveOwned { len: 16 << 20, count: bytes(16 << 20) },
            Task::Send { len: 64 << 10, count: bytes(64 << 10) },
            Task::Send { len: 1 << 20, count: bytes(1 << 20) },
            Task::Send { len: 16 << 20, count: bytes(16 << 20) },
        ],
    );
}

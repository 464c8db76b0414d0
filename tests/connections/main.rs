//! The tests on real sockets. They are one program, so that it links once. Tests that change a
//! whole process are in programs of their own, in the folders beside this one.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod abort;
mod addresses;
mod api;
mod app;
mod app_connections;
mod app_fates;
mod app_outbox;
mod app_outbox_faults;
mod app_overlap;
mod app_pace;
mod app_queue;
mod app_reconnect;
mod app_stop;
mod bounds;
mod closing;
mod connection_info;
mod connector;
mod cookies;
mod counters;
mod deflate;
mod diagnostics;
#[cfg(unix)]
mod event_loops;
mod final_writes;
mod full_duplex;
mod handle_reconnect;
mod headers_with;
mod hostile_opening;
mod hostile_peer;
mod hostile_pings;
mod invalid_input;
#[cfg(unix)]
mod level_triggered;
mod many_connections;
#[cfg(unix)]
mod other_systems;
mod proxies;
mod proxy_connect;
mod proxy_socks;
mod proxy_tls;
mod reconnect_storm;
mod recv_accuracy;
mod redirects;
mod repeated_timeouts;
mod send_reader;
mod slow_peers;
mod stopped;
mod stream_faults;
mod streams;
mod timeouts;
mod tls;
mod tls_chains;
mod tls_endings;
mod tls_hostile;
mod tls_pins;
mod tls_records;
mod tls_renegotiation;
mod trust;
mod trust_given;
mod try_send;
mod try_send_held;
mod tungstenite;
mod unreachable;

#[cfg(feature = "deflate")]
#[path = "../proto_support/mod.rs"]
mod proto_support;
#[path = "../support/mod.rs"]
mod support;

//! The runtime of the contenders with async: tokio, on the thread that calls.

use std::future::Future;
use std::sync::LazyLock;
use std::thread;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use super::Target;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_io().build().unwrap());

/// Runs the future to its end, on this thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Runs the tasks on a thread of their own.
pub fn run(tasks: Vec<impl Future<Output = ()> + Send + 'static>) {
    for task in tasks {
        RUNTIME.spawn(task);
    }
    thread::spawn(|| wait(std::future::pending::<()>()));
}

/// Is any stream: plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub async fn tcp(target: &Target) -> TcpStream {
    let stream = TcpStream::connect(target.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub async fn tls(target: &Target) -> tokio_rustls::client::TlsStream<TcpStream> {
    let connector = TlsConnector::from(target.tls.clone().unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, tcp(target).await).await.unwrap()
}

//! The server process, as its parent uses it: started, killed with SIGKILL, started again.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::server::END;

pub struct ServerProcess {
    /// The certificate and its key, as PEM.
    identity: String,
    certificate: String,
    running: Mutex<Option<Running>>,
    port: AtomicU16,
    /// Odd while the server is down.
    epoch: AtomicU64,
    killed_at: Mutex<Instant>,
    complaints: Arc<Mutex<Vec<String>>>,
}

struct Running {
    child: Child,
    listening: JoinHandle<()>,
}

impl ServerProcess {
    pub fn start() -> io::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let signed = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let certificate = signed.cert.pem();
        let server = Self {
            identity: format!("{certificate}\n{}\n{END}\n", signed.signing_key.serialize_pem()),
            certificate,
            running: Mutex::default(),
            port: AtomicU16::new(0),
            epoch: AtomicU64::new(0),
            killed_at: Mutex::new(Instant::now()),
            complaints: Arc::default(),
        };
        server.launch()?;
        Ok(server)
    }

    /// Returns the root certificate to trust, as PEM.
    pub fn certificate(&self) -> &[u8] {
        self.certificate.as_bytes()
    }

    /// Returns the address of the present server. Each server has a port of its own, so that the
    /// port of one that is gone refuses.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.load(Ordering::SeqCst)).into()
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Returns whether the server was killed, or down, at any time since `epoch`.
    pub fn was_killed_since(&self, epoch: u64) -> bool {
        epoch % 2 == 1 || self.epoch() != epoch
    }

    /// Returns how often the server was killed.
    pub fn kills(&self) -> u64 {
        self.epoch() / 2
    }

    /// Returns when the server was last killed.
    pub fn killed_at(&self) -> Instant {
        *self.killed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the server's complaints about what clients must not do.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the server, and starts another one after `down`.
    pub fn restart(&self, down: Duration) -> io::Result<()> {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        *self.killed_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.kill();
        thread::sleep(down);
        self.launch()?;
        self.epoch.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn launch(&self) -> io::Result<()> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(stdin) = &mut child.stdin {
            stdin.write_all(self.identity.as_bytes())?;
        }
        let (tell, told) = mpsc::channel();
        let complaints = self.complaints.clone();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let listening = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                match line.strip_prefix("port ").map(str::parse) {
                    Some(Ok(port)) => drop(tell.send(port)),
                    _ => complaints.lock().unwrap_or_else(PoisonError::into_inner).push(line),
                }
            }
        });
        let port = told.recv_timeout(Duration::from_secs(30)).map_err(io::Error::other)?;
        self.port.store(port, Ordering::SeqCst);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Running { child, listening });
        Ok(())
    }

    /// Kills the server, and starts no other.
    pub fn kill(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            // Killing fails only if the process is dead already.
            let _ = running.child.kill();
            let _ = running.child.wait();
            let _ = running.listening.join();
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

//! A bad network for one connection. It delays, chops, stalls and breaks as the plan says.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use socket2::{Domain, SockRef, Socket, Type};

use crate::plan::{Fault, Link, LinkFault, Shape};

/// Listens for one connection, and carries its bytes.
pub struct Proxy {
    pub address: SocketAddr,
    way: Arc<Way>,
    carrying: Option<JoinHandle<()>>,
}

/// Holds what both directions share.
#[derive(Default)]
struct Way {
    state: Mutex<State>,
    /// Notified when the session is over.
    over: Condvar,
}

#[derive(Default)]
struct State {
    over: bool,
    broke: Option<(Instant, Fault)>,
    ends: Option<Ends>,
    /// Both ends are being reset, so no FIN is sent any more.
    reset: bool,
}

#[derive(Clone)]
struct Ends {
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
}

impl Proxy {
    pub fn start(server: SocketAddr, link: &Link, seed: u64) -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if link.tiny_window {
            listener.set_recv_buffer_size(2048)?;
        }
        // The proxy has an address of its own (Linux has all of 127/8). Otherwise a late attempt of
        // an earlier session could reach it at a port that is used again.
        let [_, a, b, c, ..] = seed.to_be_bytes();
        let own = Ipv4Addr::new(127, 1 + a % 254, 1 + b % 254, 1 + c % 254);
        listener.bind(&SocketAddr::from((own, 0)).into())?;
        listener.listen(1)?;
        let listener = TcpListener::from(listener);
        let address = listener.local_addr()?;
        let way = Arc::new(Way::default());
        let carrying = thread::spawn({
            let (way, link) = (way.clone(), link.clone());
            move || {
                match way.open(listener, server, &link) {
                    Ok(Some(ends)) => way.carry(ends, &link, seed),
                    Ok(None) => {}
                    // The server is down.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(error) => eprintln!("proxy: {error}"),
                }
            }
        });
        Ok(Self { address, way, carrying: Some(carrying) })
    }

    /// Ends the proxy, and returns when the fault of the plan happened.
    pub fn finish(mut self) -> Option<Instant> {
        self.end();
        self.way.state().broke.map(|(at, _)| at)
    }

    fn end(&mut self) {
        let ends = {
            let mut state = self.way.state();
            state.over = true;
            state.ends.take()
        };
        self.way.over.notify_all();
        if let Some(ends) = ends {
            ends.shutdown(Shutdown::Both);
        }
        if let Some(carrying) = self.carrying.take() {
            let _ = carrying.join();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
    }
}

impl Ends {
    fn shutdown(&self, how: Shutdown) {
        // An end that is gone needs no shutdown.
        let _ = self.client.shutdown(how);
        let _ = self.server.shutdown(how);
    }
}

impl Way {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts the client and connects to the server; `None` if the client never came.
    fn open(
        &self,
        listener: TcpListener,
        server: SocketAddr,
        link: &Link,
    ) -> io::Result<Option<Ends>> {
        listener.set_nonblocking(true)?;
        let client = loop {
            match listener.accept() {
                Ok((client, _)) => break client,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if self.state().over => return Ok(None),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        };
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        let upstream = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if link.tiny_window {
            upstream.set_recv_buffer_size(2048)?;
        }
        upstream.connect(&server.into())?;
        let upstream = TcpStream::from(upstream);
        upstream.set_nodelay(true)?;
        let ends = Ends { client: Arc::new(client), server: Arc::new(upstream) };
        let mut state = self.state();
        if state.over {
            return Ok(None);
        }
        state.ends = Some(ends.clone());
        Ok(Some(ends))
    }

    fn carry(self: &Arc<Self>, ends: Ends, link: &Link, seed: u64) {
        let pump = |up: bool| Pump {
            way: self.clone(),
            up,
            from: if up { ends.client.clone() } else { ends.server.clone() },
            to: if up { ends.server.clone() } else { ends.client.clone() },
            shape: if up { link.up } else { link.down },
            fault: link.fault.filter(|fault| fault.up == up),
            rng: Rng::with_seed(seed ^ u64::from(up)),
            passed: 0,
        };
        let (up, down) = (pump(true), pump(false));
        let down = thread::spawn(move || down.run());
        up.run();
        let _ = down.join();
        // These are the last handles. Dropping them resets what is to be reset.
        self.state().ends = None;
    }

    /// Causes the fault, unless the session is over.
    fn break_it(&self, kind: Fault) {
        let mut state = self.state();
        let Some(ends) = state.ends.clone() else { return };
        state.broke = Some((Instant::now(), kind));
        drop(state);
        match kind {
            Fault::Reset => self.reset(),
            Fault::Fin => ends.shutdown(Shutdown::Write),
            Fault::HalfClose => drop(ends.client.shutdown(Shutdown::Write)),
            _ => {}
        }
    }

    /// Makes both directions drop their ends, which resets both.
    fn reset(&self) {
        let mut state = self.state();
        state.reset = true;
        let Some(ends) = state.ends.clone() else { return };
        drop(state);
        for end in [&ends.client, &ends.server] {
            let _ = SockRef::from(&**end).set_linger(Some(Duration::ZERO));
        }
        ends.shutdown(Shutdown::Read);
    }

    fn wait_until_over(&self) {
        let mut state = self.state();
        while !state.over {
            state = self.over.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Carries the bytes of one direction.
struct Pump {
    way: Arc<Way>,
    up: bool,
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    shape: Shape,
    fault: Option<LinkFault>,
    rng: Rng,
    passed: u64,
}

impl Pump {
    fn run(mut self) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let len = match (&*self.from).read(&mut buffer) {
                Ok(0) if self.way.state().reset => return,
                Ok(0) => return drop(self.to.shutdown(Shutdown::Write)),
                Ok(len) => len,
                // One end was reset, so the other is reset too.
                Err(_) => return self.way.reset(),
            };
            if !self.goes_on() {
                return;
            }
            let passed = self.pass(&mut buffer[..len]);
            if !self.goes_on() {
                return;
            }
            if passed.is_err() {
                return self.way.reset();
            }
        }
    }

    /// Returns whether bytes are still passed on. If not, deals with the bytes that still come.
    fn goes_on(&self) -> bool {
        let broke = self.way.state().broke;
        match broke.map(|(_, kind)| kind) {
            None | Some(Fault::BitFlip) => return true,
            Some(Fault::HalfClose) if self.up => return true,
            // Bytes that still come are read, because unread ones would cause a reset.
            Some(Fault::Fin | Fault::HalfClose | Fault::BlackHole) => self.swallow(),
            Some(Fault::Freeze) => self.way.wait_until_over(),
            Some(_) => {}
        }
        false
    }

    /// Passes these bytes on, up to the fault if it is among them.
    fn pass(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        if let Some(delay) = self.shape.delay {
            thread::sleep(Duration::from_millis(self.rng.u64(..=delay)));
        }
        if let Some((after, pause)) = self.shape.stall
            && (self.passed..self.passed + len).contains(&after)
        {
            thread::sleep(Duration::from_millis(pause));
        }
        let Some(fault) = self.fault.take_if(|fault| fault.after < self.passed + len) else {
            return self.write(bytes);
        };
        let good = usize::try_from(fault.after - self.passed).map_err(io::Error::other)?;
        let (good, rest) = bytes.split_at_mut(good);
        self.write(good)?;
        self.way.break_it(fault.kind);
        if self.goes_on() {
            if fault.kind == Fault::BitFlip {
                rest[0] ^= 1 << self.rng.u8(..8);
            }
            self.write(rest)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let segment = self.shape.chop.unwrap_or(bytes.len().max(1));
        for segment in bytes.chunks(segment) {
            (&*self.to).write_all(segment)?;
            self.passed += segment.len() as u64;
        }
        Ok(())
    }

    fn swallow(&self) {
        let mut buffer = vec![0; 16 * 1024];
        while matches!((&*self.from).read(&mut buffer), Ok(1..)) {}
    }
}

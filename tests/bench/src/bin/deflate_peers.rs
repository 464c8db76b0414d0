//! Measures messages that landline, Python's websockets and Node's ws receive and send with
//! compression. The server here sends the same frames to each, and does not inflate what they send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use landline::Builder;
use landline::deflate::Deflate;
use landline_bench::compressed::{compress, compressor, frame, json, prose};
use landline_bench::plan::median;

const CLIENTS: [&str; 3] = ["landline", "websockets", "ws"];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [python, rounds] = &args[..] else {
        eprintln!("usage: deflate_peers PYTHON ROUNDS; see the script of this name");
        std::process::exit(2);
    };
    let rounds: usize = rounds.parse().unwrap();
    println!(
        "{:20} {:>10} {:>12} {:>8} {:>15} {:>8}",
        "messages a second", "landline", "websockets", "ws", "to websockets", "to ws"
    );
    for (name, message, count) in
        [("1 KiB JSON", json(1024, 1), 20_000), ("1 MiB text", prose(1 << 20, 1), 60)]
    {
        let file = std::env::temp_dir().join(format!("landline-{}", std::process::id()));
        std::fs::write(&file, &message).unwrap();
        for task in ["receive", "send"] {
            let server = serve(message.clone(), count);
            let mut rates = [const { Vec::new() }; 3];
            let mut ratios = [const { Vec::new() }; 3];
            for round in 0..rounds {
                let mut now = [0.0; 3];
                for turn in 0..3 {
                    let at = (turn + round) % 3;
                    let url = format!("ws://{server}/{task}");
                    let seconds = match CLIENTS[at] {
                        "landline" => landline(&url, task, count, &message),
                        "websockets" => run(python, "peers/client.py", &url, task, count, &file),
                        _ => run("node", "peers/client.js", &url, task, count, &file),
                    };
                    now[at] = count as f64 / seconds;
                }
                for at in 0..3 {
                    rates[at].push(now[at]);
                    ratios[at].push(now[0] / now[at]);
                }
            }
            let [ours, python, node] = rates.each_mut().map(|rates| median(rates));
            let [_, to_python, to_node] = ratios.each_mut().map(|ratios| median(ratios));
            println!(
                "{:20} {ours:>10.0} {python:>12.0} {node:>8.0} {to_python:>15.2} {to_node:>8.2}",
                format!("{task} {name}")
            );
        }
        std::fs::remove_file(file).unwrap();
    }
}

fn landline(url: &str, task: &str, count: usize, message: &str) -> f64 {
    let options = Deflate::new().min_size(0);
    let mut ws = Builder::new().deflate(options).connect(url).unwrap();
    let began = Instant::now();
    if task == "receive" {
        ws.send("go").unwrap();
        for _ in 0..count {
            assert_eq!(ws.recv().unwrap().as_bytes().len(), message.len());
        }
    } else {
        for _ in 0..count {
            ws.send(message).unwrap();
        }
        ws.recv().unwrap();
    }
    began.elapsed().as_secs_f64()
}

fn run(program: &str, script: &str, url: &str, task: &str, count: usize, file: &Path) -> f64 {
    let output = Command::new(program)
        .args([script, url, task, &count.to_string()])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("{script}: {output:?}"))
}

fn serve(message: String, count: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that ends early prints its own error.
            let _ = play(&mut stream.unwrap(), &message, count);
        }
    });
    address
}

fn play(stream: &mut TcpStream, message: &str, count: usize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let name = "sec-websocket-key: ";
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name)).unwrap();
    let mut hash = sha1_smol::Sha1::from(&line[name.len()..]);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = BASE64.encode(hash.digest().bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )?;
    if head.starts_with("GET /receive") {
        swallow(stream, 1)?;
        // The first message refers to nothing, and the others refer to it.
        let mut compressor = compressor(15);
        let mut next = || {
            let mut payload = Vec::new();
            compress(&mut compressor, message.as_bytes(), |chunk| payload.extend_from_slice(chunk));
            frame(&payload)
        };
        let (first, then) = (next(), next());
        stream.write_all(&first)?;
        let batch = then.repeat((64 * 1024 / then.len()).clamp(1, count - 1));
        let many = batch.len() / then.len();
        for _ in 0..(count - 1) / many {
            stream.write_all(&batch)?;
        }
        stream.write_all(&then.repeat((count - 1) % many))?;
    } else {
        swallow(stream, count)?;
        stream.write_all(&[0x81, 0])?;
    }
    let _ = std::io::copy(stream, &mut std::io::sink());
    Ok(())
}

/// Reads `count` messages.
fn swallow(stream: &TcpStream, mut count: usize) -> std::io::Result<()> {
    let mut stream = std::io::BufReader::with_capacity(64 * 1024, stream);
    while count > 0 {
        let mut start = [0; 2];
        stream.read_exact(&mut start)?;
        let mut len = u64::from(start[1] & 0x7F);
        if len >= 126 {
            let mut bytes = [0; 8];
            let from = if len == 126 { 6 } else { 0 };
            stream.read_exact(&mut bytes[from..])?;
            len = u64::from_be_bytes(bytes);
        }
        std::io::copy(&mut stream.by_ref().take(len + 4), &mut std::io::sink())?;
        count -= usize::from(start[0] & 0x80 != 0 && start[0] & 8 == 0);
    }
    Ok(())
}

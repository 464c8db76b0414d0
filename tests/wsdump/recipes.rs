//! Runs the recipes of RECIPES.md as they stand there. A proxy leads all their hosts to one server.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::scripts::temporary;
use crate::support::proxy::{Relay, Rules};
use crate::support::*;
use crate::tool::*;

const HOSTS: [&str; 3] = ["feed.example", "app.example", "deploy.example"];

#[test]
fn each_recipe_prints_what_it_says() {
    watchdog(LIMIT * 3, || {
        let listener = listener();
        let relay = Relay::start(listener.local_addr().unwrap(), Rules::default());
        let broken: Arc<Mutex<Vec<String>>> = Arc::default();
        serve_all(listener, &broken);
        let page =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/wsdump/RECIPES.md"))
                .unwrap();
        let recipes: Vec<_> = page.split("```sh\n").skip(1).collect();
        assert!(recipes.len() > 8, "{page}");
        for recipe in recipes {
            let (script, rest) = recipe.split_once("```").unwrap();
            let (_, expected) = rest.split_once("```text\n").unwrap();
            let (expected, _) = expected.split_once("```").unwrap();
            let printed = shell(script, &relay);
            assert_eq!(printed, (0, expected.to_owned()), "{script}");
        }
        assert_eq!(*broken.lock().unwrap(), [""; 0]);
    });
}

/// Runs a script in a folder of its own. Returns its status, and what it printed.
fn shell(script: &str, relay: &Relay) -> (i32, String) {
    let folder = temporary("recipe");
    fs::create_dir_all(&folder).unwrap();
    let ca = folder.join("roots.pem");
    fs::write(&ca, &tls::ca().pem).unwrap();
    let tool = bare::<&str>(&[]);
    let tools = std::path::Path::new(tool.get_program()).parent().unwrap().to_owned();
    let mut paths = vec![tools];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let mut bash = Command::new("bash");
    for (name, _) in tool.get_envs() {
        bash.env_remove(name);
    }
    let output = bash
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(&folder)
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("https_proxy", relay.url("http"))
        .env("http_proxy", relay.url("http"))
        .env("SSL_CERT_FILE", &ca)
        .env("CDP", "ws://browser.example:9222/devtools/browser/1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    fs::remove_dir_all(folder).unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Serves every connection by its path, with TLS or without.
fn serve_all(listener: TcpListener, broken: &Arc<Mutex<Vec<String>>>) {
    let config = tls::config(&tls::ca().leaf(&HOSTS));
    let broken = broken.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, config, broken) = (stream.unwrap(), config.clone(), broken.clone());
            thread::spawn(move || {
                let mut first = [0];
                stream.peek(&mut first).unwrap();
                let mut peer = match first {
                    [0x16] => Peer::new(tls::accept(config, stream)),
                    _ => Peer::new(stream),
                };
                if let Err(wrong) = answer(&mut peer) {
                    broken.lock().unwrap().push(wrong);
                }
            });
        }
    });
}

fn answer(peer: &mut Peer) -> Result<(), String> {
    peer.read_request();
    let path = peer.request.split(' ').nth(1).unwrap().to_owned();
    if path == "/refused" {
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        return Ok(());
    }
    let head = peer.good_answer("");
    peer.send(&head);
    match &*path {
        "/trades" => {
            peer.expect(TEXT, br#"{"op":"subscribe","channel":"trades"}"#);
            peer.send(&text(r#"{"price":101.5}"#));
            peer.send(&[text(r#"{"price":101.7}"#), close(1000, "")].concat());
        }
        "/echo" => echo(peer),
        "/devtools/browser/1" => {
            peer.expect(TEXT, br#"{"id":1,"method":"Browser.getVersion"}"#);
            peer.send(&text(r#"{"method":"Target.targetCreated"}"#));
            peer.send(&text(r#"{"id":1,"result":{"product":"Chrome/140.0"}}"#));
            answer_close(peer, 1000);
        }
        "/events" => {
            peer.send(&[text(r#"{"status":"building"}"#), text(r#"{"status": "ready"}"#)].concat());
            answer_close(peer, 1000);
        }
        "/ticks" => {
            peer.send(&[text("tick 1"), text("tick 2"), text("tick 3")].concat());
            peer.send(&close(1000, ""));
            peer.next_frame();
        }
        "/clock" => {
            peer.send(&[text("12:00"), text("12:01"), text("12:02")].concat());
            answer_close(peer, 1000);
        }
        "/login" => {
            if peer.header("Authorization") != ["Bearer secret-token"] {
                return Err(format!("no token: {}", peer.request));
            }
            peer.send(&text("welcome"));
            answer_close(peer, 1000);
        }
        _ => return Err(format!("no recipe has {path}")),
    }
    Ok(())
}

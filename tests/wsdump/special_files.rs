//! Links and named pipes in the place of files.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scripts::temporary;
use crate::support::*;
use crate::tool::*;

/// Runs the tool against a server that sets a cookie.
fn gets_a_cookie(jar: &Path) {
    let server = serve(|peer| {
        peer.read_request();
        let answer = peer.good_answer("Set-Cookie: new=2\r\n");
        peer.send(&answer);
        peer.send(&close(1000, ""));
    });
    run(&["-c", jar.to_str().unwrap(), &server.url()]).gave(0, "");
    server.join();
}

fn named_pipe(name: &str) -> PathBuf {
    let path = temporary(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn cookies_are_written_through_a_link() {
    watchdog(LIMIT, || {
        let (file, link) = (temporary("linked-jar"), temporary("link-to-jar"));
        symlink(&file, &link).unwrap();
        // The file does not exist the first time, and is replaced the second time.
        for _ in 0..2 {
            gets_a_cookie(&link);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link is gone");
            assert!(fs::read_to_string(&file).unwrap().contains("\tnew\t2\n"));
        }
        fs::remove_file(link).unwrap();
        fs::remove_file(file).unwrap();
    });
}

#[test]
fn cookies_are_written_to_a_pipe_that_stays_one() {
    watchdog(LIMIT, || {
        let path = named_pipe("jar-pipe");
        let other_end = path.clone();
        let cookies = spawn(move || {
            // The tool reads the old cookies, and writes all of them at the end.
            fs::write(&other_end, "127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n").unwrap();
            fs::read_to_string(&other_end).unwrap()
        });
        gets_a_cookie(&path);
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo(), "the pipe is gone");
        let cookies = cookies.join();
        assert!(cookies.contains("\told\t1\n") && cookies.contains("\tnew\t2\n"), "{cookies}");
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_named_pipe_is_sent_like_a_file() {
    watchdog(LIMIT, || {
        for (option, opcode) in [("--send-file", TEXT), ("--send-binary", BINARY)] {
            let path = named_pipe("sent-pipe");
            let other_end = path.clone();
            let writer = spawn(move || fs::write(other_end, "from a pipe").unwrap());
            let server = upgraded(move |peer| {
                peer.expect(opcode, b"from a pipe");
                peer.send(&close(1000, ""));
            });
            run(&[option, path.to_str().unwrap(), &server.url()]).gave(0, "");
            writer.join();
            server.join();
            fs::remove_file(path).unwrap();
        }
    });
}

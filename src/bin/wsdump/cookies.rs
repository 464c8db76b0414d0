//! Cookies in files of Netscape's format, which curl and browsers' extensions read and write.
//!
//! A line has seven fields, separated by tabs: the domain, whether it holds for subdomains, the
//! path, whether it is for TLS only, the second at which it expires or 0, the name, the value.
//! `#HttpOnly_` before the domain hides it from the scripts of a page. Other lines that begin with
//! `#` are comments.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use landline::cookie::{Cookie, CookieJar};

/// Reads the cookies of a file into the jar. Returns the number of lines that are no cookie, or
/// none that the jar takes.
pub(crate) fn read(path: &Path, jar: &CookieJar) -> io::Result<usize> {
    let text = fs::read_to_string(path)?;
    let now = SystemTime::now();
    let lines = text.lines().filter(|line| {
        let is_comment = line.starts_with('#') && !line.starts_with(HTTP_ONLY);
        !line.trim().is_empty() && !is_comment
    });
    Ok(lines.filter(|line| add(line, jar, now).is_none()).count())
}

const HTTP_ONLY: &str = "#HttpOnly_";

/// Adds the cookie of a line; `None` if it cannot be added. One that has expired is left out.
fn add(line: &str, jar: &CookieJar, now: SystemTime) -> Option<()> {
    let hidden = line.strip_prefix(HTTP_ONLY);
    let mut fields = hidden.unwrap_or(line).split('\t');
    let mut next = || fields.next();
    let (domain, subdomains, path) = (next()?, next()?, next()?);
    let (secure, expires, name) = (next()?, next()?.parse::<u64>().ok()?, next()?);
    let value = next().unwrap_or_default();
    let host = domain.strip_prefix('.').unwrap_or(domain);
    let is_secure = secure.eq_ignore_ascii_case("TRUE");
    let mut set_cookie = format!("{name}={value}; Path={path}");
    if subdomains.eq_ignore_ascii_case("TRUE") {
        set_cookie += &format!("; Domain={host}");
    }
    if expires != 0 {
        let left = expires.saturating_sub(now.duration_since(UNIX_EPOCH).ok()?.as_secs());
        if left == 0 {
            return Some(());
        }
        set_cookie += &format!("; Max-Age={left}");
    }
    if is_secure {
        set_cookie += "; Secure";
    }
    if hidden.is_some() {
        set_cookie += "; HttpOnly";
    }
    let scheme = if is_secure { "https" } else { "http" };
    jar.set_at(&format!("{scheme}://{host}{path}"), set_cookie.as_bytes(), now).ok()
}

/// Writes all cookies of the jar to the file. Nobody else may read a file that is made. A link
/// stays a link, and a device or a pipe stays what it is.
pub(crate) fn write(path: &Path, jar: &CookieJar) -> io::Result<()> {
    let mut text = String::from("# Netscape HTTP Cookie File\n# Written by wsdump.\n\n");
    for cookie in jar.all() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", line(&cookie));
    }
    let file = fs::canonicalize(path).ok().filter(|path| path.is_file());
    if file.is_none() && fs::symlink_metadata(path).is_ok() {
        // This is a device, a pipe, or a link to a file that does not exist yet.
        let mut options = private();
        return options.create(true).truncate(true).open(path)?.write_all(text.as_bytes());
    }
    replace(file.as_deref().unwrap_or(path), &text)
}

/// Returns options to write a file. If it is made, nobody else may read it.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file anew. The old one stays until the new one is complete.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (mut file, new) = make_beside(path)?;
    let written = file.write_all(text.as_bytes());
    drop(file); // Windows renames no file that is open.
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
        // A part of it would only take room on a disk that is full.
        let _ = fs::remove_file(&new);
    })
}

/// Makes a file in the same folder, with a name that no file has: all others are the user's.
fn make_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut number = 0_u64;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}-{number}.new", process::id()));
        match private().create_new(true).open(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            opened => return Ok((opened?, name.into())),
        }
    }
}

fn line(cookie: &Cookie) -> String {
    let flag = |yes| if yes { "TRUE" } else { "FALSE" };
    let expires = cookie.expires().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!(
        "{}{}{}\t{}\t{}\t{}\t{}\t{}\t{}",
        if cookie.is_http_only() { HTTP_ONLY } else { "" },
        if cookie.is_host_only() { "" } else { "." },
        cookie.domain(),
        flag(!cookie.is_host_only()),
        cookie.path(),
        flag(cookie.is_secure()),
        expires.map_or(0, |expires| expires.as_secs()),
        cookie.name(),
        cookie.value(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Netscape HTTP Cookie File\n\
        .example.com\tTRUE\t/\tFALSE\t0\ta\t1\n\
        #HttpOnly_www.example.com\tFALSE\t/x\tTRUE\t33333333333\tb\t2\n\
        old.example.com\tFALSE\t/\tFALSE\t1\tc\t3\n\
        \n\
        nonsense\n\
        .example.com\tTRUE\t/\tFALSE\t0\t__Secure-a\t1\n";

    #[test]
    fn cookies_survive_a_file() {
        let path = std::env::temp_dir().join(format!("wsdump-cookies-{}", process::id()));
        fs::write(&path, FILE).unwrap();
        let jar = CookieJar::new();
        assert_eq!(read(&path, &jar).unwrap(), 2);
        let names: Vec<_> = jar.all().iter().map(|cookie| cookie.name().to_owned()).collect();
        assert_eq!(names, ["a", "b"]);
        write(&path, &jar).unwrap();
        let again = CookieJar::new();
        assert_eq!(read(&path, &again).unwrap(), 0);
        let lines = |jar: &CookieJar| jar.all().iter().map(line).collect::<Vec<_>>();
        let first = lines(&again);
        assert_eq!(first[0], ".example.com\tTRUE\t/\tFALSE\t0\ta\t1");
        assert!(first[1].starts_with("#HttpOnly_www.example.com\tFALSE\t/x\tTRUE\t"));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn no_file_beside_the_jar_is_touched() {
        let folder = std::env::temp_dir().join(format!("wsdump-beside-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("jar");
        let others = [".new".to_owned(), format!(".{}-0.new", process::id())];
        let others = others.map(|end| folder.join(format!("jar{end}")));
        for other in &others {
            fs::write(other, "mine").unwrap();
        }
        write(&path, &CookieJar::new()).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("# Netscape"));
        for other in &others {
            assert_eq!(fs::read_to_string(other).unwrap(), "mine");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        fs::remove_dir_all(folder).unwrap();
    }
}

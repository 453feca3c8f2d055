//! Asking another process for its health: what a container without a shell is checked by.
//!
//! It is done every few seconds for as long as a container lives, so it needs no runtime, no
//! threads and no HTTP client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::config::Question;

/// How long the answer may take. Less than what whoever runs this waits by default.
const PATIENCE: Duration = Duration::from_secs(3);
/// How much of an answer is read.
const MOST: usize = 4096;

/// Asks, says in one line what came of it, and tells by the code whether all is well.
pub fn check_health(Question { address, page }: Question) -> ExitCode {
    let path = page.path();
    let answer = get(address, path, PATIENCE);
    let (good, what) = match &answer {
        Ok(answer) => judge(answer),
        Err(e) => (false, e.to_string()),
    };
    let line = format!("http://{address}{path}: {what}");
    // A reader that has gone away changes nothing.
    let (_, code) = match good {
        true => (writeln!(io::stdout(), "{line}"), ExitCode::SUCCESS),
        false => (writeln!(io::stderr(), "{line}"), ExitCode::FAILURE),
    };
    code
}

/// The answer as it came, at most [`MOST`] bytes, within `patience`.
fn get(address: SocketAddr, path: &str, patience: Duration) -> io::Result<String> {
    let end = Instant::now() + patience;
    let left = || match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut connection = TcpStream::connect_timeout(&address, left()?)?;
    connection.set_write_timeout(Some(left()?))?;
    // In HTTP/1.0 the answer ends with the connection and has no chunks.
    connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while answer.len() < MOST {
        connection.set_read_timeout(Some(left()?))?;
        match connection.read(&mut part) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&part[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // What a read says that has waited long enough.
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether an answer says that all is well, and what it says, on one line.
fn judge(answer: &str) -> (bool, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1));
    let Some(status) = status.filter(|_| head.starts_with("HTTP/")) else {
        return (false, "no answer in HTTP".to_owned());
    };
    let words: Vec<&str> = body.split_whitespace().collect();
    (status == "200", format!("{status} {}", words.join(" ")))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What is got of somebody who answers with these parts, and then waits to be left.
    fn got(parts: &'static [&'static str], hangs: bool, patience: Duration) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let n = peer.read(&mut asked).unwrap();
            for part in parts {
                // Who asked may have read enough, and be gone.
                if peer.write_all(part.as_bytes()).is_err() {
                    break;
                }
            }
            if hangs {
                let _ = peer.read(&mut [0]);
            }
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        let answer = get(address, "/ready", patience);
        let asked = server.join().unwrap();
        assert!(asked.starts_with("GET /ready HTTP/1.0\r\n"), "{asked}");
        answer
    }

    #[test]
    fn good_is_what_answers_200() {
        let answer = got(
            &["HTTP/1.0 200 OK\r\na: b\r\n", "\r\n{\"healthy\":\n true}"],
            false,
            PATIENCE,
        );
        let judged = judge(&answer.unwrap());
        assert_eq!(judged, (true, "200 {\"healthy\": true}".to_owned()));
        for (answer, what) in [
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n{}", "503 {}"),
            ("HTTP/1.1 301 Moved\r\n\r\n", "301 "),
            ("SSH-2.0-x 200\r\n", "no answer in HTTP"),
            ("", "no answer in HTTP"),
        ] {
            assert_eq!(judge(answer), (false, what.to_owned()));
        }
    }

    #[test]
    fn whoever_does_not_answer_is_not_waited_for() {
        let e = got(&["HTTP/1.0 200 OK\r\n"], true, Duration::from_millis(50)).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn what_comes_without_end_is_left() {
        const LONG: &str = "HTTP/1.0 200 OK\r\n\r\n................................";
        let answer = got(&[LONG; 200], false, PATIENCE).unwrap();
        assert!((MOST..2 * MOST).contains(&answer.len()), "{}", answer.len());
    }

    #[test]
    fn the_code_tells() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let address = nobody.unwrap();
        let page = crate::config::Page::Health;
        let code = check_health(Question { address, page });
        assert_eq!(code, ExitCode::FAILURE);
    }
}

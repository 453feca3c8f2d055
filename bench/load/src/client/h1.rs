//! HTTP/1.1 with as little as can be between the socket and the clock: the request is written from
//! one buffer, and of the answer only status, length and persistence are looked at.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Error, Request};

/// What is read at once.
const READ: usize = 64 << 10;
/// Longer heads are refused.
const MAX_HEAD: usize = 16 << 10;

pub(crate) struct Client {
    stream: TcpStream,
    request: Bytes,
    buffer: BytesMut,
    open: bool,
}

/// What is wanted of an answer's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    bytes: usize,
    body: usize,
    stays: bool,
}

impl Client {
    pub(super) fn new(stream: TcpStream, request: &Request) -> Self {
        Self {
            stream,
            request: written(request),
            buffer: BytesMut::with_capacity(READ),
            open: true,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) async fn call(&mut self) -> Result<Answer, Error> {
        self.open = false;
        self.stream.write_all(&self.request).await?;
        let head = loop {
            self.more().await?;
            match head(&self.buffer)? {
                Some(head) => break head,
                None if self.buffer.len() > MAX_HEAD => {
                    return Err(Error::Head("too long".to_owned()));
                }
                None => {}
            }
        };
        // What is read beyond a body is nobody's: there is one request at a time.
        let mut left = (head.bytes + head.body).saturating_sub(self.buffer.len());
        while left > 0 {
            self.buffer.clear();
            left = left.saturating_sub(self.more().await?);
        }
        self.buffer.clear();
        self.open = head.stays;
        Ok(match head.status {
            200..300 => Answer::Good,
            status => Answer::Refused(status),
        })
    }

    async fn more(&mut self) -> Result<usize, Error> {
        self.buffer.reserve(READ - self.buffer.len().min(READ / 2));
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::Ended),
            n => Ok(n),
        }
    }
}

fn written(request: &Request) -> Bytes {
    let (path, host, upload) = (&request.path, &request.host, &request.upload);
    let mut out = BytesMut::new();
    let method = if upload.is_empty() { "GET" } else { "POST" };
    out.put(
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: a8load\r\n").as_bytes(),
    );
    for (name, value) in &request.headers {
        out.put(format!("{name}: ").as_bytes());
        out.put(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    if !upload.is_empty() {
        out.put(format!("content-length: {}\r\n", upload.len()).as_bytes());
    }
    out.put_slice(b"\r\n");
    out.extend_from_slice(upload);
    out.freeze()
}

/// The head at the beginning of `bytes`, once it is there as a whole.
fn head(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes);
    let size = match parsed.map_err(|e| Error::Head(e.to_string()))? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial => return Ok(None),
    };
    let mut head = Head {
        status: response.code.unwrap_or_default(),
        bytes: size,
        body: 0,
        stays: response.version == Some(1),
    };
    let mut measured = false;
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(field.value).ok();
            let length = length.and_then(|length| length.parse().ok());
            head.body = length.ok_or_else(|| Error::Head("its length is no number".to_owned()))?;
            measured = true;
        } else if field.name.eq_ignore_ascii_case("connection") {
            head.stays &= !field.value.eq_ignore_ascii_case(b"close");
        }
    }
    // Nothing between here and the backend has a reason to send chunks, but for a bare refusal.
    if !measured && (200..300).contains(&head.status) && head.status != 204 {
        return Err(Error::Head("its length is not told".to_owned()));
    }
    head.stays &= measured || head.status == 204;
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for cut in 0..text.len() - 3 {
            assert_eq!(head(&text[..cut]).unwrap(), None, "{cut} bytes");
        }
        let whole = head(text).unwrap().unwrap();
        assert_eq!((whole.status, whole.bytes, whole.body), (200, 38, 3));
        assert!(whole.stays);
    }

    #[test]
    fn a_connection_that_ends_is_not_used_again() {
        for text in [
            "HTTP/1.1 503 No\r\ncontent-length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(!head(text.as_bytes()).unwrap().unwrap().stays, "{text}");
        }
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        let text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(matches!(head(text), Err(Error::Head(_))));
    }
}

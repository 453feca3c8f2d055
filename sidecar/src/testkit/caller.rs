//! A caller that sends what it is told and shows what it got.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::DEADLINE;

/// What came back over a connection that the caller asked to be closed.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// A field of the head, if it is there once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        let first = values.next();
        assert_eq!(values.next(), None, "{name} is there twice: {}", self.head);
        first
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Self {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

/// Sends `text` as it stands and returns everything that comes until the connection ends;
/// `None` when that is no response.
pub(crate) async fn raw(to: SocketAddr, text: &str) -> Option<Reply> {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A reset after the response is an end like another.
        let _ = stream.read_to_end(&mut bytes).await;
        Reply::parse(&bytes)
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

/// One request without a body, on a connection of its own.
pub(crate) async fn request(to: SocketAddr, line: &str, fields: &[(&str, &str)]) -> Reply {
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !fields
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        text += "Host: localhost:6379\r\n";
    }
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    text += "Connection: close\r\n\r\n";
    raw(to, &text)
        .await
        .unwrap_or_else(|| panic!("no response to {line}"))
}

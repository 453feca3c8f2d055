//! Bytes there, and as many back.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Error, Request};

pub(crate) struct Client {
    stream: TcpStream,
    bytes: Bytes,
    back: Vec<u8>,
}

impl Client {
    pub(super) fn new(stream: TcpStream, request: &Request) -> Self {
        Self {
            stream,
            bytes: request.upload.clone(),
            back: vec![0; request.upload.len()],
        }
    }

    pub(super) async fn call(&mut self) -> Result<Answer, Error> {
        self.stream.write_all(&self.bytes).await?;
        match self.stream.read_exact(&mut self.back).await {
            Ok(_) => Ok(Answer::Good),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(Error::Ended),
            Err(e) => Err(e.into()),
        }
    }
}

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testkit::DEADLINE;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let (one, accepted) = tokio::join!(TcpStream::connect(to), listener.accept());
    (one.unwrap(), accepted.unwrap().0)
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let ((mut caller, inside), (to, mut instance)) = (pair().await, pair().await);
    let mut between = Pair::new(inside, to);
    let (scratch, moved) = (Scratch::default(), Moved::default());
    let idle = Duration::from_millis(50);
    let end = between.relay(&scratch, &moved, idle, |_, _| {});
    assert_eq!(end.await, End::Idle);
    drop(between);
    for side in [&mut caller, &mut instance] {
        let told = side.read(&mut [0; 8]).await.map_err(|e| e.kind());
        assert_eq!(told, Err(io::ErrorKind::ConnectionReset));
    }
}

/// Keeps what it is given until it is told to send it, as TLS may.
impl Side for BufWriter<TcpStream> {
    fn break_off(&mut self) {
        self.get_mut().break_off();
    }
}

#[tokio::test]
async fn what_was_taken_is_sent_though_more_may_come() {
    let ((mut caller, inside), (to, mut instance)) = (pair().await, pair().await);
    let mut between = Pair::new(
        Ahead::new("early ".into(), BufWriter::new(inside)),
        BufWriter::new(to),
    );
    let (scratch, moved) = (Scratch::default(), Moved::default());
    let talk = async {
        let mut heard = [0; 6];
        instance.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"early ");
        // One is silent until it has heard the other.
        for _ in 0..3 {
            caller.write_all(b"ping").await.unwrap();
            instance.read_exact(&mut heard[..4]).await.unwrap();
            instance.write_all(b"pong").await.unwrap();
            caller.read_exact(&mut heard[..4]).await.unwrap();
            assert_eq!(&heard[..4], b"pong");
        }
        caller.shutdown().await.unwrap();
        assert_eq!(instance.read(&mut heard).await.unwrap(), 0);
        instance.write_all(b"last").await.unwrap();
        instance.shutdown().await.unwrap();
        let mut last = String::new();
        caller.read_to_string(&mut last).await.unwrap();
        assert_eq!(last, "last");
    };
    let both = async { tokio::join!(between.relay(&scratch, &moved, DEADLINE, |_, _| {}), talk) };
    let (end, ()) = tokio::time::timeout(DEADLINE, both).await.unwrap();
    assert_eq!(end, End::Closed);
    assert_eq!((moved.to_instance.get(), moved.to_caller.get()), (18, 16));
}

//! Waiting for something that becomes true.

use std::future::Future;
use std::time::{Duration, Instant};

/// Far longer than anything waited for takes, so that a busy machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is there.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was waited for and the last answer.
pub async fn until<T, F, W>(what: &str, mut ask: F) -> T
where
    F: FnMut() -> W,
    W: Future<Output = Result<T, String>>,
{
    match whether(&mut ask).await {
        Ok(answer) => answer,
        Err(last) => panic!("waited for {what}; last: {last}"),
    }
}

/// The same for something that may turn out not to become true.
///
/// # Errors
/// The last answer, after [`PATIENCE`].
pub async fn whether<T, F, W>(mut ask: F) -> Result<T, String>
where
    F: FnMut() -> W,
    W: Future<Output = Result<T, String>>,
{
    let start = Instant::now();
    loop {
        match ask().await {
            Err(_) if start.elapsed() <= PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            last => return last,
        }
    }
}

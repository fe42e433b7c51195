//! Limits the rows per second that copy, replay and verification read from the source together.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A shared limit. Rows are paid for after they were read, so that one large read is never refused;
/// whoever comes next waits.
#[derive(Debug)]
pub struct Throttle {
    rows_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Throttle {
    /// A limit of that many rows per second; 0 is none.
    pub fn new(rows_per_second: u64) -> Self {
        Throttle { rows_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until `rows` more rows fit under the limit.
    pub async fn pass(&self, rows: u64) {
        if self.rows_per_second == 0 || rows == 0 {
            return;
        }
        let turn = {
            let mut free_at = self.free_at.lock().await;
            let turn = (*free_at).max(Instant::now());
            *free_at = turn + Duration::from_secs_f64(rows as f64 / self.rows_per_second as f64);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

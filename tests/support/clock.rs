//! How long each test takes: `tests/run` prints the slowest by it.
//!
//! libtest runs each test in a thread of its own that has the test's name. The harness starts the clock
//! at its first use in such a thread; the end of the thread stops it. With `HIGHWATER_TEST_TIMES` set to
//! a file, one line per test is added there: seconds and name.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

thread_local! {
    static CLOCK: Option<Clock> = Clock::of_this_thread();
}

/// Starts the clock of the test that this thread runs. A clock that runs already goes on; a thread
/// that is not a test's has none.
pub fn start() {
    CLOCK.with(|_| ());
}

struct Clock {
    test: String,
    began: Instant,
}

impl Clock {
    fn of_this_thread() -> Option<Clock> {
        let test = std::thread::current().name()?.to_owned();
        test.contains("::").then(|| Clock { test, began: Instant::now() })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let Some(file) = std::env::var_os("HIGHWATER_TEST_TIMES") else { return };
        let line = format!("{:.2} {}\n", self.began.elapsed().as_secs_f64(), self.test);
        // One write, so that lines of tests that end together do not mix.
        let written = OpenOptions::new().create(true).append(true).open(file);
        let written = written.and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            let _ = writeln!(std::io::stderr(), "HIGHWATER_TEST_TIMES: {error}");
        }
    }
}

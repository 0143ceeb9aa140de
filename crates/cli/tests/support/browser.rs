//! A page in a headless browser, where there is one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a browser may take; a loaded machine starts one slowly.
const PATIENCE: Duration = Duration::from_secs(120);

/// Chromium or a relative of it: `FRUGAL_CHROMIUM`, or the usual names in `PATH`.
pub fn find() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("FRUGAL_CHROMIUM") {
        return Ok(path.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name)));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        format!("no browser: FRUGAL_CHROMIUM is not set, and none of {} is in PATH", names.join(", "))
    })
}

/// Opens a page in a window 1,280 pixels wide, with one more option that says what to do with it. Returns what was printed on standard
/// output, and on standard error.
pub fn open(browser: &Path, page: &Path, option: &str, folder: &Path) -> (String, String) {
    let file = |name: &str| folder.join(format!("browser-{name}"));
    let create = |name: &str| Stdio::from(std::fs::File::create(file(name)).expect("writable"));
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--hide-scrollbars",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--window-size=1280,4000"])
        .arg(format!("--user-data-dir={}", file("profile").display()))
        .arg(option)
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(create("stdout"))
        .stderr(create("stderr"))
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", browser.display()));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                break child.wait().expect("a child can be waited for");
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let read =
        |name: &str| String::from_utf8_lossy(&std::fs::read(file(name)).expect("readable")).into_owned();
    let (stdout, stderr) = (read("stdout"), read("stderr"));
    assert!(status.success(), "{} {option}: {status}\n{stderr}", browser.display());
    (stdout, stderr)
}

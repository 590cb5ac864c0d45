//! A real browser, driven over WebDriver (W3C recommendation of 2018), with no network of its own.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long one command may take, in seconds.
const WITHIN_S: u64 = 120;

pub(crate) struct Browser {
    driver: Child,
    session: String,
    /// Vanishes after the browser.
    _profile: TempDir,
}

impl Browser {
    /// Chromium and its driver, if both are here.
    pub(crate) fn start() -> Option<Self> {
        let found = |names: &[&str]| {
            let folders = ["/usr/bin", "/usr/local/bin", "/usr/lib/chromium"];
            let paths = names.iter().flat_map(|name| folders.map(|folder| Path::new(folder).join(name)));
            paths.into_iter().find(|path| path.is_file())
        };
        let (chromium, driver) = (found(&["chromium", "chromium-browser"]), found(&["chromedriver"]));
        let (Some(chromium), Some(driver)) = (chromium, driver) else {
            println!("skipped: no chromium with chromedriver here; Debian's chromium-driver brings both");
            return None;
        };
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{}/session", port.unwrap()),
            _profile: profile,
        };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1440,1200",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            &folder,
        ];
        let options = json!({ "args": args, "binary": chromium });
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let session = browser.ask("", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = minreq::post(&url).with_timeout(WITHIN_S).with_body(body.to_string());
        let answer = request.with_header("content-type", "application/json").send().unwrap();
        let answer: Value = serde_json::from_slice(answer.as_bytes()).unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].clone()
    }

    /// Opens a file and waits until it is loaded.
    pub(crate) fn open(&self, file: &Path) {
        self.ask("/url", &json!({ "url": format!("file://{}", file.display()) }));
    }

    /// Runs the body of a function in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What the page told the console so far, errors of its policy among it.
    pub(crate) fn console(&self) -> Value {
        self.ask("/se/log", &json!({ "type": "browser" }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser that is gone already needs no end.
        drop(minreq::delete(&self.session).with_timeout(10).send());
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

//! Chromium without a window, driven over the DevTools protocol through a pair of pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proxy_wasm_adapter_tests::fixtures;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// Wide enough for two columns and the list of parts.
pub(crate) const WIDE: (u32, u32) = (1600, 1000);
/// A telephone.
pub(crate) const NARROW: (u32, u32) = (390, 844);

/// A browser with one tab. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<String>,
    session: Option<String>,
    number: u64,
    /// What came that was not asked for.
    events: Vec<Value>,
    directory: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Result<Self> {
        let directory = tempfile::tempdir().context("makes a directory for Chromium")?;
        // With `--remote-debugging-pipe`, it reads from descriptor 3 and writes to 4. There is no sandbox for root, and
        // the pages are our own.
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh"]);
        command.arg(fixtures::tool("chromium", "CHROMIUM")?);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--remote-debugging-pipe", "--hide-scrollbars"]);
        command.arg(format!("--user-data-dir={}", directory.path().join("profile").display()));
        let errors = std::fs::File::create(directory.path().join("stderr"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().context("starts Chromium")?;
        let output = child.stdout.take().context("Chromium's pipe")?;
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&message).into_owned()).is_err() {
                    return;
                }
            }
        });
        let commands = child.stdin.take();
        let mut browser = Self { child, commands, messages, session: None, number: 0, events: Vec::new(), directory };
        browser.attach().with_context(|| browser.errors())?;
        Ok(browser)
    }

    fn attach(&mut self) -> Result<()> {
        let tab = self.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attached = self.call("Target.attachToTarget", json!({ "targetId": tab["targetId"], "flatten": true }))?;
        self.session = Some(attached["sessionId"].as_str().context("a session")?.to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    fn errors(&self) -> String {
        let errors = std::fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default();
        format!("Chromium wrote:\n{errors}")
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let pipe = self.commands.as_mut().context("Chromium has ended")?;
        pipe.write_all(format!("{command}\0").as_bytes())?;
        pipe.flush()?;
        loop {
            let mut message = self.receive().with_context(|| format!("waits for {method}"))?;
            if message["id"] == self.number {
                ensure!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return Ok(message["result"].take());
            }
            self.events.push(message);
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let message = self.messages.recv_timeout(PATIENCE).with_context(|| self.errors())?;
        Ok(serde_json::from_str(&message)?)
    }

    /// How the next pages are shown: width and height, light or dark, with JavaScript or without.
    pub(crate) fn show(&mut self, (width, height): (u32, u32), dark: bool, scripts: bool) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] }))?;
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !scripts }))?;
        Ok(())
    }

    /// Shows what `@media print` says.
    pub(crate) fn show_print(&mut self) -> Result<()> {
        self.call("Emulation.setEmulatedMedia", json!({ "media": "print" })).map(drop)
    }

    /// Opens a page, and returns how long that took.
    pub(crate) fn open(&mut self, page: &str) -> Result<Duration> {
        let file = self.directory.path().join("page.html");
        std::fs::write(&file, page)?;
        self.quiet()?;
        self.events.clear();
        let start = Instant::now();
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }))?;
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive()?;
            self.events.push(event);
        }
        Ok(start.elapsed())
    }

    /// What an expression evaluates to in the page; a promise is waited for.
    pub(crate) fn evaluate(&mut self, script: &str) -> Result<Value> {
        let parameters = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", parameters)?;
        if let Some(exception) = result.get("exceptionDetails") {
            bail!("`{script}`: {exception}");
        }
        Ok(result["result"]["value"].take())
    }

    /// Waits until the page has been painted again.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))";
        self.evaluate(frames).map(drop)
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, script: &str) -> Result<()> {
        let start = Instant::now();
        while self.evaluate(script)? != true {
            ensure!(start.elapsed() < PATIENCE, "`{script}` never came true");
            self.settle()?;
        }
        Ok(())
    }

    /// Presses a key: a character, or a name such as `Enter`.
    pub(crate) fn press(&mut self, key: &str) -> Result<()> {
        let (code, text) = match key {
            "Enter" => (13, Some("\r")),
            "Tab" => (9, None),
            "Escape" => (27, None),
            "ArrowUp" => (38, None),
            "ArrowDown" => (40, None),
            character => (0, Some(character)),
        };
        let mut event = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", event)?;
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "code": key }))?;
        self.settle()
    }

    pub(crate) fn write(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Clicks the first element that a selector finds, with the mouse.
    pub(crate) fn click(&mut self, selector: &str) -> Result<()> {
        let middle = self.evaluate(&format!(
            "(() => {{ const element = document.querySelector({selector:?}); element.scrollIntoView({{ block: 'center' }}); \
             const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ))?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        self.settle()
    }

    pub(crate) fn allow_clipboard(&mut self) -> Result<()> {
        let permissions = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        self.call("Browser.grantPermissions", permissions).map(drop)
    }

    /// Saves what is in sight as `target/tmp/page/NAME.png`.
    pub(crate) fn screenshot(&mut self, name: &str) -> Result<()> {
        let image = self.call("Page.captureScreenshot", json!({}))?;
        let image = BASE64_STANDARD.decode(image["data"].as_str().context("an image")?)?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&directory)?;
        Ok(std::fs::write(directory.join(name).with_extension("png"), image)?)
    }

    /// Fails with what the page wrote to the console, threw, or asked the network for since it was opened.
    pub(crate) fn quiet(&mut self) -> Result<()> {
        // What has happened is told before the answer to this.
        self.call("Page.getFrameTree", json!({}))?;
        let is_own = |event: &Value| {
            event["params"]["request"]["url"]
                .as_str()
                .is_some_and(|url| url.starts_with("file:") && url.ends_with("/page.html"))
        };
        for event in &self.events {
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => bail!("console: {event}"),
                "Network.requestWillBeSent" if !is_own(event) => bail!("network: {event}"),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        let asked = self.call("Browser.close", json!({}));
        self.commands = None;
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

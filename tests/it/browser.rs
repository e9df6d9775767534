//! A real browser in front: headless Chromium over TLS.
//!
//! `chromium` comes in Debian's package of that name; `CHROMIUM` may name another one. Without it these stories say so
//! and pass, except where CI=true.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::support::*;

/// Opens two WebSockets, tells that both are open, and once that is heard uses and closes them.
const PAGE: &str = r#"<!doctype html><title>two WebSockets</title><script>
const tell = (what, story) => fetch("/" + what, { method: "POST", body: JSON.stringify(story) });
const heard = (socket, event) => new Promise((resolve, reject) => {
    socket.addEventListener(event, resolve, { once: true });
    if (event !== "close") socket.addEventListener("close", () => reject(new Error("closed")), { once: true });
});
const story = async () => {
    const sockets = [1, 2].map((number) => new WebSocket(`wss://${location.host}/ws?${number}`));
    await Promise.all(sockets.map((socket) => heard(socket, "open")));
    await tell("opened", []);
    return Promise.all(sockets.map(async (socket, at) => {
        socket.binaryType = "arraybuffer";
        const bytes = new Uint8Array(1 << 20).map((_, index) => index + at);
        socket.send(bytes);
        const echo = new Uint8Array((await heard(socket, "message")).data);
        const same = echo.length === bytes.length && echo.every((byte, index) => byte === bytes[index]);
        socket.close(4000 + at, "done");
        const end = await heard(socket, "close");
        return { same, code: end.code, clean: end.wasClean };
    }));
};
story().then((sockets) => tell("done", sockets), (error) => tell("done", String(error)));
</script>"#;

#[tokio::test]
async fn chromium_opens_two_websockets_on_one_connection() {
    let (opened, release) = held_back(reply(200));
    let page = reply(200).field("Content-Type", "text/html").body(PAGE);
    let origin = Origin::new().on("/", page).on("/ws", websocket_echo()).on("/opened", opened).start().await;

    let directory = tempfile::tempdir().unwrap();
    let pair = Authority::new().issue(&["app.test"]).write(directory.path(), "app");
    let secure = free_address();
    // One connection for one address: what comes by another is refused.
    let text = format!(
        "upstream = \"{}\"\n[[listener]]\naddress = \"{secure}\"\ntls = [{pair}]\n[limits]\nconnections_per_address = 1\n",
        origin.address
    );
    let gateway = Gateway::in_directory(directory, &text).await;
    let Some(_browser) = Chromium::open(&format!("https://app.test:{}/", secure.port()), gateway.path()) else {
        return;
    };

    origin.reached("/opened", 1).await;
    gateway.metric_becomes("tidegate_websocket_connections", &[], 2.0).await;
    assert_eq!(gateway.metric("tidegate_connections", &[]).await, 1.0);
    release.send_replace(true);
    origin.until("the page's word", |seen| seen.iter().any(|seen| seen.path() == "/done" && seen.complete)).await;
    let told: serde_json::Value = serde_json::from_slice(&origin.request_for("/done").body).unwrap();
    let socket = |code: u16| serde_json::json!({ "same": true, "code": code, "clean": true });
    assert_eq!(told, serde_json::json!([socket(4000), socket(4001)]), "{}", origin.log());
    for (event, count) in [("tunnel_open", 2), ("tunnel_close", 2)] {
        let lines = async || {
            let lines: Vec<_> = gateway.access_log().into_iter().filter(|line| line["event"] == event).collect();
            (lines.len() == count).then_some(lines)
        };
        for line in eventually(format!("{count} lines of {event}"), lines).await {
            assert_eq!(line["network.protocol.version"], "2", "{line}");
        }
    }
}

/// A headless browser, for as long as it is held.
struct Chromium {
    process: Child,
}

impl Chromium {
    /// Opens a page of `app.test`, which is this machine; every other name is unknown to it. `None` where there is no browser.
    fn open(url: &str, directory: &Path) -> Option<Self> {
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let started = Command::new(&program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors"])
            .arg("--host-resolver-rules=MAP app.test 127.0.0.1, MAP * ~NOTFOUND")
            .arg(format!("--user-data-dir={}", directory.join("chromium").display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(process) => Some(Self { process }),
            Err(error) if std::env::var("CI").as_deref() == Ok("true") => panic!("CI must not skip {program}: {error}"),
            Err(error) => {
                eprintln!("SKIPPED: {program} was not run ({error}); install Debian's package `chromium`");
                None
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

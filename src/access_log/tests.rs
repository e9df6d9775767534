use std::{
    fs,
    io::{self, Write},
    net::Ipv6Addr,
    os::unix::fs::PermissionsExt,
    sync::{Arc, mpsc},
    time::Instant,
};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::{
    time::{Date, TextClock},
    *,
};

/// 2000-10-10T13:55:36.789Z.
const MOMENT: Duration = Duration::from_millis(971_186_136_789);

fn record<'r>() -> Record<'r> {
    Record {
        now: Now { instant: Instant::now(), unix: MOMENT },
        kind: Kind::Request,
        client: Some(IpAddr::from([192, 0, 2, 7])),
        method: "GET",
        target: "/a/b.css?v=1&w=2",
        version: "HTTP/1.1",
        scheme: "https",
        host: "app.example.com:8443",
        status: 200,
        sent: 2326,
        received: 0,
        duration: Duration::from_micros(1_234),
        route: "app",
        upstream: Some("10.0.0.1:3000"),
        cache: "hit",
        cache_reason: "",
        failure: "",
        referer: b"https://app.example.com/",
        user_agent: b"Mozilla/5.0",
        request_id: "0af7651916cd43dd",
    }
}

fn closed<'r>() -> Record<'r> {
    let kind = Kind::TunnelClose {
        reason: "closed",
        code: Some(1000),
        by: "client",
        bytes_up: 12,
        bytes_down: 345,
        messages_up: 1,
        messages_down: 20,
        text: "bye",
    };
    Record { kind, status: 101, cache: "", sent: 345, duration: Duration::from_secs(90_000), ..record() }
}

fn combined_line(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    combined::write(&mut line, record, &mut TextClock::default());
    String::from_utf8(line).unwrap()
}

fn json_line(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    json::write(&mut line, record, &mut TextClock::default());
    String::from_utf8(line).unwrap()
}

fn json_value(record: &Record<'_>) -> serde_json::Value {
    serde_json::from_str(&json_line(record)).unwrap()
}

fn config(target: LogTarget, queue: usize) -> config::AccessLog {
    config::AccessLog { target, format: LogFormat::Combined, queue }
}

fn in_file(path: &std::path::Path) -> AccessLog {
    AccessLog::start(&config(LogTarget::File(path.to_owned()), 1000), &Registry::new()).unwrap()
}

fn on(output: impl Write + Send + 'static, queue: usize) -> (AccessLog, Counter, Counter) {
    let (dropped, errors) = (Counter::default(), Counter::default());
    let target = Target::of(Box::new(output));
    let log = AccessLog::start_on(target, &config(LogTarget::Stdout, queue), dropped.clone(), errors.clone()).unwrap();
    (log, dropped, errors)
}

/// An output that shows what was written to it.
#[derive(Clone, Default)]
struct Sheet(Arc<Mutex<Vec<u8>>>);

impl Sheet {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn combined_begins_as_apache_and_nginx_write_it() {
    assert_eq!(
        combined_line(&record()),
        "192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] \"GET /a/b.css?v=1&w=2 HTTP/1.1\" 200 2326 \
         \"https://app.example.com/\" \"Mozilla/5.0\" \"request\" 0.001234 \"hit\" \"app\" \"10.0.0.1:3000\" \
         \"app.example.com:8443\" \"-\" \"0af7651916cd43dd\"\n"
    );
}

#[test]
fn combined_tells_the_end_of_a_tunnel() {
    let line = combined_line(&closed());
    assert!(line.contains("\" 101 345 \""), "{line}");
    assert!(line.contains(" \"tunnel_close\" 90000.000000 \"-\" \"app\" "), "{line}");
    assert!(line.ends_with(" \"closed\" 1000 \"client\" 12 345\n"), "{line}");
    let kind = Kind::TunnelClose {
        reason: "idle",
        code: None,
        by: "gateway",
        bytes_up: 0,
        bytes_down: 0,
        messages_up: 0,
        messages_down: 0,
        text: "",
    };
    assert!(combined_line(&Record { kind, ..record() }).ends_with(" \"idle\" - \"gateway\" 0 0\n"));
}

#[test]
fn combined_writes_a_dash_for_what_is_unknown() {
    let line = combined_line(&Record {
        client: None,
        method: "",
        target: "",
        host: "",
        upstream: None,
        cache: "",
        route: "",
        referer: b"",
        user_agent: b"",
        request_id: "",
        status: 400,
        failure: "request_line",
        ..record()
    });
    assert_eq!(
        line,
        "unix: - - [10/Oct/2000:13:55:36 +0000] \"-\" 400 2326 \"-\" \"-\" \"request\" 0.001234 \"-\" \"-\" \"-\" \"-\" \"request_line\" \"-\"\n"
    );
}

#[test]
fn json_uses_the_names_of_opentelemetry() {
    assert_eq!(
        json_value(&record()),
        serde_json::json!({
            "timestamp": "2000-10-10T13:55:36.789Z",
            "event": "request",
            "client.address": "192.0.2.7",
            "http.request.method": "GET",
            "url.scheme": "https",
            "url.path": "/a/b.css",
            "url.query": "v=1&w=2",
            "server.address": "app.example.com",
            "server.port": 8443,
            "network.protocol.version": "1.1",
            "http.response.status_code": 200,
            "http.request.body.size": 0,
            "http.response.body.size": 2326,
            "duration": 0.001234,
            "route": "app",
            "upstream": "10.0.0.1:3000",
            "cache": "hit",
            "request_id": "0af7651916cd43dd",
            "user_agent.original": "Mozilla/5.0",
            "http.request.header.referer": "https://app.example.com/",
        })
    );
}

#[test]
fn json_tells_why_the_cache_did_not_answer() {
    let missed = json_value(&Record { cache: "miss", cache_reason: "uri_miss", ..record() });
    assert_eq!((&missed["cache"], &missed["cache_reason"]), (&"miss".into(), &"uri_miss".into()));
}

#[test]
fn json_tells_both_ends_of_a_tunnel() {
    let opened = json_value(&Record { kind: Kind::TunnelOpen, status: 101, ..record() });
    assert_eq!(opened["event"], "tunnel_open");
    assert!(opened.get("ws.close_reason").is_none());
    let closed = json_value(&closed());
    assert_eq!(closed["event"], "tunnel_close");
    assert_eq!(closed["ws.close_reason"], "closed");
    assert_eq!(closed["ws.close_code"], 1000);
    assert_eq!(closed["ws.close_by"], "client");
    assert_eq!(closed["ws.bytes_up"], 12);
    assert_eq!(closed["ws.bytes_down"], 345);
    assert_eq!(closed["duration"], 90_000.0);
}

#[test]
fn json_reads_host_port_and_version_apart() {
    let host = |host: &'static str| json_value(&Record { host, ..record() });
    assert_eq!(host("[2001:db8::1]:80")["server.address"], "[2001:db8::1]");
    assert_eq!(host("[2001:db8::1]:80")["server.port"], 80);
    assert!(host("example.com").get("server.port").is_none());
    assert!(host("example.com:99999").get("server.port").is_none());
    assert!(host("").get("server.address").is_none());
    let version = |version| json_value(&Record { version, ..record() })["network.protocol.version"].clone();
    assert_eq!(version("HTTP/1.0"), "1.0");
    assert_eq!(version("HTTP/2.0"), "2");
    assert_eq!(version("HTTP/2"), "2");
    let client = Some(IpAddr::from(Ipv6Addr::LOCALHOST));
    assert_eq!(json_value(&Record { client, ..record() })["client.address"], "::1");
}

/// What an attacker would put in to forge a line, leave a field or drive a terminal.
const HOSTILE: &[u8] = b"a\r\n127.0.0.1 - - \"GET\" \\ \x1b[2J\x00\x7f\xff\xc3\xa9\xc2\x9b\xe2\x80\xae \t";

#[test]
fn combined_escapes_all_that_could_forge_a_line() {
    let line = combined_line(&Record { user_agent: HOSTILE, ..record() });
    assert!(
        line.contains(
            r#" "a\x0D\x0A127.0.0.1 - - \x22GET\x22 \x5C \x1B[2J\x00\x7F\xFF\xC3\xA9\xC2\x9B\xE2\x80\xAE \x09" "#
        ),
        "{line}"
    );
}

#[test]
fn json_escapes_all_that_could_forge_a_line() {
    let line = json_line(&Record { user_agent: HOSTILE, ..record() });
    assert!(line.contains(r#""a\u000d\u000a127.0.0.1 - - \"GET\" \\ \u001b[2J\u0000\u007f"#), "{line}");
    assert!(line.contains("\u{FFFD}é\\u009b\\u202e \\u0009\""), "{line}");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["user_agent.original"], String::from_utf8_lossy(HOSTILE).as_ref());
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = format!("{}é and more", "x".repeat(TEXT_BYTES_MAX - 1));
    let line = json_line(&Record { user_agent: text.as_bytes(), ..record() });
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["user_agent.original"], format!("{}...", "x".repeat(TEXT_BYTES_MAX - 1)));
    let bytes = vec![0x80; TEXT_BYTES_MAX * 2];
    assert!(combined_line(&Record { user_agent: &bytes, ..record() }).len() < TEXT_BYTES_MAX * 4 + 400);
}

proptest! {
    #[test]
    fn no_text_of_a_client_leaves_its_field(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,100}") {
        let record = Record {
            method: &text, target: &text, host: &text, request_id: &text, user_agent: &bytes, referer: &bytes, ..record()
        };
        let line = combined_line(&record);
        prop_assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert_eq!(line.matches('"').count(), 20);
        let line = json_line(&record);
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert!(!line[..line.len() - 1].chars().any(char::is_control));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        if !bytes.is_empty() {
            let expected = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(value["user_agent.original"].as_str(), Some(&*expected));
        }
        if !text.is_empty() {
            prop_assert_eq!(value["http.request.method"].as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn numbers_are_what_the_standard_library_writes(value: u64, digits_min in 1usize..20, micros in 0u64..1 << 50) {
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        prop_assert_eq!(text(&|out| number::decimal(out, value)), value.to_string());
        prop_assert_eq!(text(&|out| number::padded(out, value >> 40, digits_min)), format!("{:0digits_min$}", value >> 40));
        let duration = Duration::from_micros(micros);
        let expected = format!("{}.{:06}", duration.as_secs(), duration.subsec_micros());
        prop_assert_eq!(text(&|out| number::seconds(out, duration)), expected);
    }

    /// The slow, obvious twin: months and years are counted off one by one.
    #[test]
    fn dates_are_what_a_calendar_says(seconds in 0u64..20_000_000_000) {
        let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut days, mut year, mut month) = (seconds / 86_400, 1970, 0);
        loop {
            let february = if is_leap(year) { 29 } else { 28 };
            let length = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
            if days < length {
                break;
            }
            days -= length;
            (month, year) = if month == 11 { (0, year + 1) } else { (month + 1, year) };
        }
        let date = Date::from_unix(seconds);
        prop_assert_eq!((date.year, date.month, date.day), (year, month as u8 + 1, days as u8 + 1));
        let of_day = u64::from(date.hour) * 3_600 + u64::from(date.minute) * 60 + u64::from(date.second);
        prop_assert_eq!(of_day, seconds % 86_400);
    }
}

#[test]
fn the_least_and_the_greatest_number_are_written_whole() {
    let mut out = Vec::new();
    number::decimal(&mut out, 0);
    out.push(b' ');
    number::decimal(&mut out, u64::MAX);
    assert_eq!(out, b"0 18446744073709551615");
}

#[test]
fn the_clock_turns_with_the_second_in_both_directions() {
    let mut clock = TextClock::default();
    let mut text = |seconds| String::from_utf8(clock.combined(Duration::from_secs(seconds)).to_vec()).unwrap();
    assert_eq!(text(951_827_696), "29/Feb/2000:12:34:56 +0000");
    assert_eq!(text(951_827_697), "29/Feb/2000:12:34:57 +0000");
    assert_eq!(text(951_827_696), "29/Feb/2000:12:34:56 +0000");
    assert_eq!(text(0), "01/Jan/1970:00:00:00 +0000");
}

#[test]
fn lines_of_a_thread_keep_their_order() {
    let sheet = Sheet::default();
    let (log, dropped, _) = on(sheet.clone(), 100_000);
    std::thread::scope(|scope| {
        for thread in ["first", "second", "third"] {
            let log = &log;
            scope.spawn(move || {
                for number in 0..2_000 {
                    log.write(&Record { route: thread, request_id: &number.to_string(), ..record() });
                }
            });
        }
    });
    assert!(log.flush());
    assert_eq!(dropped.value(), 0);
    let text = sheet.text();
    assert_eq!(text.lines().count(), 6_000);
    for thread in ["first", "second", "third"] {
        let ids = text
            .lines()
            .filter(|line| line.contains(&format!("\"{thread}\"")))
            .map(|line| line.rsplit('"').nth(1).unwrap().parse::<usize>().unwrap());
        assert!(ids.eq(0..2_000), "{thread}");
    }
}

#[test]
fn a_line_is_written_soon_without_being_asked_for() {
    let sheet = Sheet::default();
    let (log, ..) = on(sheet.clone(), 100);
    for lines in 1..=2 {
        log.write(&record());
        let deadline = Instant::now() + Duration::from_secs(5);
        while sheet.text().lines().count() < lines {
            assert!(Instant::now() < deadline, "the line was not written");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Holds every write until it is let go.
struct Held(mpsc::Receiver<()>, Sheet);

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An error says that everything is let go.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_output_drops_and_counts_lines_and_holds_nobody_up() {
    let sheet = Sheet::default();
    let (let_go, held) = mpsc::channel();
    let (log, dropped, _) = on(Held(held, sheet.clone()), 10);
    let started = Instant::now();
    for _ in 0..5_000 {
        log.write(&record());
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(dropped.value() > 4_900, "{}", dropped.value());
    assert!(!log.running.as_ref().unwrap().queue.flush(Duration::from_millis(20)), "nothing can be written yet");
    drop(let_go);
    assert!(log.flush());
    assert_eq!(sheet.text().lines().count() as u64 + dropped.value(), 5_000);
}

#[test]
fn a_single_line_is_taken_however_small_the_queue() {
    let sheet = Sheet::default();
    let (log, dropped, _) = on(sheet.clone(), 0);
    log.write(&record());
    assert!(log.flush());
    assert_eq!((sheet.text().lines().count(), dropped.value()), (1, 0));
}

/// Takes so many bytes, then fails until it is mended.
#[derive(Clone)]
struct Broken {
    sheet: Sheet,
    room: Arc<Mutex<usize>>,
}

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock();
        let taken = bytes.len().min(*room);
        *room -= taken;
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { self.sheet.write(&bytes[..taken]) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_is_counted_and_the_next_line_stands_on_its_own() {
    let output = Broken { sheet: Sheet::default(), room: Arc::new(Mutex::new(5)) };
    let (log, dropped, errors) = on(output.clone(), 100);
    for failures in 1..=3 {
        log.write(&record());
        assert!(log.flush());
        assert_eq!((dropped.value(), errors.value()), (failures, failures));
    }
    *output.room.lock() = usize::MAX;
    log.write(&record());
    assert!(log.flush());
    let whole = combined_line(&record());
    assert_eq!(output.sheet.text(), format!("{}\n{whole}", &whole[..5]));
}

#[test]
fn a_reader_that_went_away_is_an_error_and_not_the_end() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let (log, dropped, errors) = on(writer, 100);
    log.write(&record());
    assert!(log.flush());
    assert_eq!((dropped.value(), errors.value()), (1, 1));
}

#[test]
fn reopening_begins_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let (path, rotated) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let log = in_file(&path);
    log.write(&Record { request_id: "before", ..record() });
    assert!(log.flush());
    fs::rename(&path, &rotated).unwrap();
    log.reopen();
    log.write(&Record { request_id: "after", ..record() });
    assert!(log.flush());
    assert!(fs::read_to_string(&rotated).unwrap().ends_with("\"before\"\n"));
    let fresh = fs::read_to_string(&path).unwrap();
    assert_eq!(fresh.lines().count(), 1);
    assert!(fresh.ends_with("\"after\"\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0, "others can't read it");
}

#[test]
fn a_failed_reopening_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs").join("access.log");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let registry = Registry::new();
    let log = AccessLog::start(&config(LogTarget::File(path.clone()), 100), &registry).unwrap();
    let moved = directory.path().join("moved");
    fs::rename(path.parent().unwrap(), &moved).unwrap();
    log.reopen();
    log.write(&record());
    assert!(log.flush());
    assert_eq!(fs::read_to_string(moved.join("access.log")).unwrap().lines().count(), 1);
    assert!(registry.render().contains("\ntidegate_access_log_write_errors_total 1\n"));
}

#[test]
fn what_is_queued_is_written_when_the_last_handle_goes() {
    let sheet = Sheet::default();
    let (log, ..) = on(sheet.clone(), 100);
    let clone = log.clone();
    drop(log);
    clone.write(&record());
    drop(clone);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Arc::strong_count(&sheet.0) > 1 {
        assert!(Instant::now() < deadline, "the writer did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(sheet.text().lines().count(), 1);
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let error = AccessLog::start(&config(LogTarget::File("/nowhere/access.log".into()), 1), &Registry::new()).err();
    assert!(error.unwrap().to_string().contains("access log `/nowhere/access.log`: "));
}

#[test]
fn a_log_that_is_off_takes_everything_and_does_nothing() {
    let log = AccessLog::start(&config(LogTarget::Off, 1), &Registry::new()).unwrap();
    assert!(!log.is_on());
    log.write(&record());
    log.reopen();
    assert!(log.flush());
}

#[test]
fn its_metrics_keep_the_naming_rules() {
    let registry = Registry::new();
    let log = AccessLog::start(&config(LogTarget::Stdout, 1), &registry).unwrap();
    assert!(log.is_on());
    assert_eq!(registry.lint(), Vec::<String>::new());
}

//! `tidegate connections`: what is open in a running gateway, and how the last ones ended.

use std::{fmt::Write, process::ExitCode, thread, time::Duration};

use serde_json::Value;

use super::{
    args::{Connections, Filters},
    ask::Admin,
    output,
};

/// 0 if the gateway has told it.
pub(super) fn run(options: Connections) -> ExitCode {
    let mut parameters = options.filters.parameters();
    parameters.push(("limit", Some(options.limit.to_string())));
    let path = if options.closed { "/connections/closed" } else { "/connections" };
    let path = path.to_owned() + &query(parameters);
    let admin = match Admin::of(options.admin) {
        Ok(admin) => admin,
        Err(code) => return code,
    };
    loop {
        let said = match admin.look(&path) {
            Ok(said) => said,
            Err(code) => return code,
        };
        let text = match options.closed {
            _ if options.json => said.to_string(),
            true => closed_text(&said),
            false => open_text(&said),
        };
        if !options.watch {
            return output::print(&text);
        }
        // ECMA-48: to the top left corner, and all below it empty.
        let shown = output::print(&format!("\x1b[H\x1b[J{text}"));
        if shown != ExitCode::SUCCESS {
            return shown;
        }
        thread::sleep(WATCH_PAUSE);
    }
}

impl Filters {
    /// As the admin listener takes them.
    pub(super) fn parameters(self) -> Vec<(&'static str, Option<String>)> {
        let Self { route, upstream, server, client, state, kind, age, idle } = self;
        vec![
            ("route", route),
            ("upstream", upstream),
            ("backend", server),
            ("client", client),
            ("state", state),
            ("kind", kind),
            ("age", age),
            ("idle", idle),
        ]
    }
}

/// A query of what is given, with `?` if anything is; RFC 3986 §2.3 names what stands for itself.
pub(super) fn query(parameters: Vec<(&'static str, Option<String>)>) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
                // Invariant: a String takes every write.
                byte => drop(write!(text, "%{byte:02X}")),
            }
        }
    }
    text
}

fn open_text(said: &Value) -> String {
    let rows = rows(said);
    let mut table = vec![
        ["id", "kind", "state", "age", "idle", "up", "down", "rtt", "client", "backend", "route"]
            .map(str::to_owned)
            .to_vec(),
    ];
    table.extend(rows.iter().map(|row| {
        vec![
            row["id"].to_string(),
            word(&row["kind"]),
            word(&row["state"]),
            span(&row["age_seconds"]),
            if row["idle_seconds"].is_null() { "-".to_owned() } else { span(&row["idle_seconds"]) },
            size(&row["up"]["bytes"]),
            size(&row["down"]["bytes"]),
            row["client_round_trip_ms"].as_f64().map_or("-".to_owned(), |ms| format!("{ms:.1}ms")),
            word(&row["client"]),
            word(&row["backend"]),
            word(&row["route"]),
        ]
    }));
    let more = if said["next"].is_null() { "" } else { ", more of them" };
    format!("{}{} shown{more}; {} open\n", aligned(&table), rows.len(), said["open"])
}

fn closed_text(said: &Value) -> String {
    let mut table = vec![
        ["id", "kind", "reason", "code", "by", "lasted", "up", "down", "client", "backend", "route", "text"]
            .map(str::to_owned)
            .to_vec(),
    ];
    table.extend(rows(said).iter().map(|row| {
        vec![
            row["id"].to_string(),
            word(&row["kind"]),
            word(&row["reason"]),
            row["code"].as_u64().map_or("-".to_owned(), |code| code.to_string()),
            word(&row["by"]),
            span(&row["duration_seconds"]),
            size(&row["up"]["bytes"]),
            size(&row["down"]["bytes"]),
            word(&row["client"]),
            word(&row["backend"]),
            word(&row["route"]),
            word(&row["text"]),
        ]
    }));
    aligned(&table)
}

fn rows(said: &Value) -> &[Value] {
    said["connections"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text of a peer's may hold what a terminal would obey.
fn word(value: &Value) -> String {
    let shown = |text: &str| text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }).collect();
    value.as_str().filter(|text| !text.is_empty()).map_or("-".to_owned(), shown)
}

/// Whole seconds, in the largest units.
fn span(seconds: &Value) -> String {
    let seconds = seconds.as_f64().unwrap_or_default().max(0.0) as u64;
    match seconds {
        0 => "0s".to_owned(),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn size(bytes: &Value) -> String {
    let Some(bytes) = bytes.as_u64() else { return "-".to_owned() };
    match bytes {
        0..1024 => bytes.to_string(),
        _ => {
            let unit = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
            let (unit, name) = unit.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1 << 10, "KiB"));
            format!("{:.1}{name}", bytes as f64 / unit as f64)
        }
    }
}

/// Columns as wide as their widest word.
fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in table {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

const WATCH_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(query(vec![("route", None)]), "");
        let given = vec![("route", Some("/a b&c".to_owned())), ("idle", None), ("client", Some("::1".to_owned()))];
        assert_eq!(query(given), "?route=%2Fa%20b%26c&client=%3A%3A1");
    }

    #[test]
    fn open_connections_are_a_table() {
        let said = json!({ "open": 7, "next": 3, "connections": [
            { "id": 1, "kind": "websocket", "state": "open", "age_seconds": 3725.5, "idle_seconds": 0.2,
              "up": { "bytes": 1023 }, "down": { "bytes": 1_572_864 }, "client_round_trip_ms": 12.34,
              "client": "10.0.0.1", "backend": "127.0.0.1:3000", "route": "chat" },
            { "id": 22, "kind": "http", "state": "open", "age_seconds": 90_000.0, "idle_seconds": 61.0,
              "client_round_trip_ms": null, "client": null, "backend": "\u{1b}[2J", "route": "/" },
        ]});
        assert_eq!(
            open_text(&said),
            "id  kind       state  age    idle   up    down    rtt     client    backend         route\n\
             1   websocket  open   1h02m  0s     1023  1.5MiB  12.3ms  10.0.0.1  127.0.0.1:3000  chat\n\
             22  http       open   1d01h  1m01s  -     -       -       -         \u{fffd}[2J            /\n\
             2 shown, more of them; 7 open\n"
        );
    }

    #[test]
    fn ended_connections_are_a_table() {
        let said = json!({ "connections": [
            { "id": 5, "kind": "websocket", "reason": "kicked", "code": 4000, "by": "gateway", "duration_seconds": 59.9,
              "up": { "bytes": 0 }, "down": { "bytes": 2048 }, "client": "::1", "backend": "a:1", "route": "chat",
              "text": "go" },
        ]});
        assert_eq!(
            closed_text(&said),
            "id  kind       reason  code  by       lasted  up  down    client  backend  route  text\n\
             5   websocket  kicked  4000  gateway  59s     0   2.0KiB  ::1     a:1      chat   go\n"
        );
    }
}

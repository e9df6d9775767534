//! The command line as a user meets it: exit codes, what goes where.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    process::Output,
    thread,
};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn a_sound_file_is_ok() {
    let (_directory, file) = written("listen = \"127.0.0.1:8080\"\nupstream = \"127.0.0.1:3000\"\n");
    let output = tidegate(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), format!("{}: ok\n", file.display()));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_file_with_problems_is_exit_code_1_and_all_of_them_on_standard_error() {
    let (_directory, file) = written("lissten = \"127.0.0.1:8080\"\nupstream = \"127.0.0.1\"\nthreads = 0\n");
    let output = tidegate(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let told = text(&output.stderr);
    assert_eq!(told.matches("error: ").count(), 3, "{told}");
    assert!(told.contains("tidegate.toml:1:1") && told.contains("did you mean `listen`?"), "{told}");
    assert!(told.ends_with("tidegate.toml: 3 errors\n"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours away from a terminal: {told}");
}

#[test]
fn warnings_leave_the_exit_code_alone() {
    let (_directory, file) = written("upstream = \"app\"\n[upstreams.app]\nservers = [\"a:1\", \"b:1\"]\n");
    let output = tidegate(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).ends_with("tidegate.toml: ok, 1 warning\n"));
    assert!(text(&output.stderr).starts_with("warning: `app` has 2 servers"));
}

#[test]
fn problems_are_told_to_programs_too() {
    let (_directory, file) = written("upstream = \"127.0.0.1:3000\"\ncahce = 1\n");
    let output = tidegate(&["check", "--format", "json", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&object["ok"], &object["errors"]), (&Value::Bool(false), &Value::from(1)));
    let problem = &object["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(problem["label"], "did you mean `cache`?");
}

#[test]
fn the_effective_configuration_is_a_configuration() {
    let (directory, file) = written("upstream = \"127.0.0.1:3000\"\n");
    let output = tidegate(&["check", "--print-effective", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let again = directory.path().join("again.toml");
    fs::write(&again, &output.stdout).unwrap();
    let second = tidegate(&["check", "--print-effective", again.to_str().unwrap()]);
    assert_eq!(text(&second.stdout), text(&output.stdout));
    let json = tidegate(&["check", "--print-effective", "--format", "json", file.to_str().unwrap()]);
    let object: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(object["effective"]["cache"]["capacity"], "256MiB");
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let (_directory, file) = written("upstream = \"127.0.0.1:3000\"\n");
    let output = command(&["check"]).env("TIDEGATE_CONFIG", &file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for words in [
        &["chek"][..],
        &["check"],
        &["check", "--format", "yaml", "x"],
        &["run"],
        &["run", "--config", "a", "--upstream", "b:1"],
        &["run", "--listen", "127.0.0.1:0"],
        &["run", "--upstream", "nonsense"],
        &["run", "--upstream", "127.0.0.1:1", "--listen", "nonsense"],
        &["run", "--upstream", "127.0.0.1:1", "--log-level", "tidegate=loud"],
        &["run", "--upstream", "127.0.0.1:1", "--log-level", "loud"],
        &["demo", "--listen", "nonsense"],
        &["healthcheck", "--admin", "nonsense"],
        &["purge"],
        &["purge", "https://a/", "--all"],
        &["purge", "--all", "--admin", "nonsense"],
        &["purge", "--group", "https://a"],
        &["explain", "GET", "https://a/"],
        &["explain", "GET", "https://a/", "--config", "x", "--live", "127.0.0.1:1"],
        &["explain", "GET", "https://a/", "--config", "x", "-H", "no colon"],
        &["completions", "cmd"],
        &[],
    ] {
        let output = tidegate(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn a_file_that_cannot_be_run_is_exit_code_1() {
    let output = tidegate(&["run", "--config", "/nonexistent/tidegate.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("could not read `/nonexistent/tidegate.toml`"));
    assert_eq!(tidegate(&["check", "/nonexistent/tidegate.toml"]).status.code(), Some(1));
}

#[test]
fn help_is_no_failure_and_teaches() {
    for words in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["demo", "--help"],
        &["healthcheck", "--help"],
        &["purge", "--help"],
        &["explain", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
        &["schema", "--help"],
    ] {
        let output = tidegate(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(text(&output.stdout).contains("Examples:\n  "), "{words:?}");
    }
}

#[test]
fn the_program_can_describe_itself() {
    let version = format!("tidegate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&tidegate(&["version"]).stdout), version);
    assert_eq!(text(&tidegate(&["--version"]).stdout), version);
    let json: Value = serde_json::from_slice(&tidegate(&["version", "--json"]).stdout).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    let schema: Value = serde_json::from_slice(&tidegate(&["schema"]).stdout).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    for (words, part) in [
        (&["completions", "bash"][..], "_tidegate()"),
        (&["completions", "zsh"], "#compdef tidegate"),
        (&["man"], ".TH tidegate 1"),
        (&["reference"], "# Configuration reference"),
    ] {
        let output = tidegate(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(text(&output.stdout).contains(part), "{words:?}");
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let output = tidegate(&["man", "--directory", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for page in ["tidegate.1", "tidegate-run.1", "tidegate-check.1"] {
        assert!(directory.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn a_ready_gateway_is_healthy_and_any_other_is_not() {
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        ("SSH-2.0-OpenSSH\r\n", 1),
        ("", 1),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let output = tidegate(&["healthcheck", "--admin", &address]);
        assert_eq!(output.status.code(), Some(code), "{answer}: {}", text(&output.stderr));
        let request = asked.join().unwrap();
        assert!(request.starts_with(&format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n")), "{request}");
    }
}

#[test]
fn the_healthcheck_finds_the_admin_listener_in_the_configuration() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_directory, file) = written(&format!("upstream = \"a:1\"\n[admin]\nlisten = \"{address}\"\n"));
    let output = tidegate(&["healthcheck", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&format!("http://{address}/ready")), "{}", text(&output.stderr));
    let (_directory, file) = written("upstream = \"a:1\"\n[admin]\nlisten = \"off\"\n");
    let output = tidegate(&["healthcheck", "--config", file.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("the admin listener is off"));
}

#[test]
fn orders_to_nobody_are_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for words in
        [&["purge", "--all", "--admin", &address][..], &["explain", "--live", &address, "GET", "https://example.com/"]]
    {
        let output = tidegate(words);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{words:?}");
        let told = text(&output.stderr);
        assert!(told.starts_with("error: no answer from http://127.0.0.1:"), "{told}");
        assert!(told.ends_with("is a gateway running there?\n"), "{told}");
    }
}

#[test]
fn a_saved_head_is_weighed_without_traffic() {
    let (directory, file) =
        written("upstream = \"app:1\"\n[[routes]]\nname = \"app\"\ncache = { heuristic = false }\n");
    let head = directory.path().join("head");
    let explain = |answer: &str, more: &[&str]| {
        fs::write(&head, answer).unwrap();
        let words = ["explain", "-c", file.to_str().unwrap(), "--response", head.to_str().unwrap()];
        let output = tidegate(&[&words[..], more, &["GET", "https://example.com/a"]].concat());
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{answer}");
        text(&output.stdout)
    };
    let stored =
        explain("HTTP/2 200\r\ncache-control: s-maxage=60\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", &[]);
    insta::assert_snapshot!(stored, @r"
    route          app
    backend        `app:1`: app:1
    lane           ask: a GET or HEAD without a body
    key            https://example.com/a
    cache          miss, uri_miss: nothing is stored under this key
    cache status   tidegate; fwd=uri-miss; stored
    stored         yes
    reused         yes
    lifetime       60 s, from s-maxage of cache-control
    age            0 s
    fresh until    Sun, 06 Nov 1994 08:50:37 GMT, for 60 s
    stale          never
    ");
    let refused = explain("HTTP/1.1 200 OK\nSet-Cookie: a=b\nCache-Control: max-age=60\n", &["--json"]);
    assert!(refused.contains("\"no, set_cookie: "), "{refused}");
    let unreadable =
        tidegate(&["explain", "-c", file.to_str().unwrap(), "--response", "/nonexistent", "GET", "https://a/"]);
    assert!(text(&unreadable.stderr).starts_with("error: could not read `/nonexistent`"));
    let odd = tidegate(&["explain", "-c", file.to_str().unwrap(), "GET", "/a"]);
    assert_eq!(odd.status.code(), Some(1));
    assert!(text(&odd.stderr).starts_with("error: `/a` has no host"));
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(words).env_remove("TIDEGATE_CONFIG").env_remove("TIDEGATE_LOG");
    command
}

fn tidegate(words: &[&str]) -> Output {
    command(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn written(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    fs::write(&file, text).unwrap();
    (directory, file)
}

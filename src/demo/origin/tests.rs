use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use super::{files::FILES, *};

mod live;
mod websocket;

#[test]
fn the_page_asks_for_nothing_that_is_not_here() {
    let origin = Origin::start().unwrap();
    let page = ask(&origin, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(page.status, 200);
    assert!(page.field("content-type").starts_with("text/html"));
    let text = String::from_utf8(page.body).unwrap();
    let mut links = 0;
    for part in text.split(" href=\"").chain(text.split(" src=\"")).filter(|part| part.starts_with('/')) {
        let path = part.split('"').next().unwrap();
        assert_eq!(ask(&origin, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).status, 200, "{path}");
        links += 1;
    }
    assert!(links >= 5);
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing comes from elsewhere");
    origin.stop();
}

#[test]
fn every_file_says_what_a_cache_may_do_and_can_be_validated() {
    let origin = Origin::start().unwrap();
    for file in &FILES {
        let first = ask(&origin, &format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", file.path));
        assert_eq!(first.field("content-length"), first.body.len().to_string());
        assert!(!first.field("cache-control").is_empty() && first.field("date").ends_with(" GMT"));
        let etag = first.field("etag");
        for condition in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let request = format!("GET {} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {condition}\r\n\r\n", file.path);
            let second = ask(&origin, &request);
            assert_eq!((second.status, second.body.len()), (304, 0), "{condition}");
            assert_eq!(second.field("etag"), etag);
        }
        let other = format!("GET {} HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"other\"\r\n\r\n", file.path);
        assert_eq!(ask(&origin, &other).status, 200);
    }
    origin.stop();
}

#[test]
fn head_has_the_length_and_not_the_body() {
    let origin = Origin::start().unwrap();
    let mut client = Client::new(&origin);
    client.send("HEAD /assets/app.js HTTP/1.1\r\nHost: x\r\n\r\nGET /api/time HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.read_head();
    assert!(head.field("content-length").parse::<usize>().unwrap() > 1000);
    let next = client.read_answer();
    assert!(String::from_utf8(next.body).unwrap().starts_with("{\"now\":"), "the next answer follows at once");
    origin.stop();
}

#[test]
fn uncached_answers_tell_the_size_of_the_request_head() {
    let origin = Origin::start().unwrap();
    let request = "GET /api/time HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = ask(&origin, request);
    assert_eq!(answer.field("cache-control"), "no-store");
    assert_eq!(answer.field("x-request-head-bytes"), request.len().to_string());
    let asset = ask(&origin, "GET /assets/app.js HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(asset.field("x-request-head-bytes"), "", "a stored answer would tell of somebody else's request");
    origin.stop();
}

#[test]
fn what_cannot_be_answered_has_its_status() {
    let origin = Origin::start().unwrap();
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("POST /api/time HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 405),
        ("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
    ] {
        assert_eq!(ask(&origin, request).status, status, "{request}");
    }
    origin.stop();
}

#[test]
fn a_connection_ends_after_a_request_with_a_body_or_one_that_asks_for_it() {
    let origin = Origin::start().unwrap();
    for request in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        "GET /api/time HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /api/time HTTP/1.0\r\n\r\n",
    ] {
        let mut client = Client::new(&origin);
        client.send(request);
        client.read_answer();
        assert_eq!(client.read_rest(), b"", "{request}");
    }
    origin.stop();
}

#[test]
fn the_page_learns_where_its_neighbours_are() {
    let origin = Origin::start().unwrap();
    let request = "GET /api/about HTTP/1.1\r\nHost: x\r\n\r\n";
    let alone: serde_json::Value = serde_json::from_slice(&ask(&origin, request).body).unwrap();
    assert_eq!(alone.get("metrics"), None);
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    origin.introduce(Neighbours { gateway: at(1), metrics: at(2), origin: at(3) });
    let all: serde_json::Value = serde_json::from_slice(&ask(&origin, request).body).unwrap();
    assert_eq!(all["gateway"], "127.0.0.1:1");
    assert_eq!(all["metrics"], "127.0.0.1:2");
    assert_eq!(all["origin"], "127.0.0.1:3");
    origin.stop();
}

#[test]
fn stopping_ends_idle_connections_and_closes_the_door() {
    let origin = Origin::start().unwrap();
    let address = origin.address();
    let mut idle = Client::new(&origin);
    idle.send("GET /api/time HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.read_answer();
    origin.stop();
    assert_eq!(idle.read_rest(), b"");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn dates_are_written_as_http_wants_them() {
    for (seconds, expected) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
    ] {
        assert_eq!(answer::date(seconds), expected);
    }
}

/// A whole answer, or a head alone.
struct Told {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Told {
    /// The field's value; empty if there is none.
    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(candidate, _)| candidate == name).map_or("", |(_, value)| value)
    }
}

/// A plain client with one connection.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn new(origin: &Origin) -> Self {
        let stream = TcpStream::connect(origin.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or(&line).to_owned()
    }

    fn read_head(&mut self) -> Told {
        let status = self.read_line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = Vec::new();
        loop {
            let line = self.read_line();
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "");
                return Told { status, fields, body: Vec::new() };
            };
            fields.push((name.to_lowercase(), value.to_owned()));
        }
    }

    fn read_answer(&mut self) -> Told {
        let mut told = self.read_head();
        if let Ok(length) = told.field("content-length").parse() {
            told.body = vec![0; length];
            self.reader.read_exact(&mut told.body).unwrap();
        }
        told
    }

    /// One chunk's data; empty for the last.
    fn read_chunk(&mut self) -> String {
        let mut data = vec![0; usize::from_str_radix(&self.read_line(), 16).unwrap()];
        self.reader.read_exact(&mut data).unwrap();
        assert_eq!(self.read_line(), "");
        String::from_utf8(data).unwrap()
    }

    fn read_rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }
}

fn ask(origin: &Origin, request: &str) -> Told {
    let mut client = Client::new(origin);
    client.send(request);
    client.read_answer()
}

//! What is asked for.

use std::{cell::RefCell, io, str::FromStr};

use bytes::Bytes;
use clap::Args;

#[derive(Args)]
pub struct Wanted {
    /// The path, or the beginning of one for each object.
    #[arg(long, default_value = "/cached/1024")]
    path: String,
    /// Objects `PATH/0`, `PATH/1`, … are asked for, the first ones most (Zipf).
    #[arg(long)]
    objects: Option<usize>,
    #[arg(long, default_value_t = 0.9)]
    exponent: f64,
    /// Equal seeds ask for equal objects in equal order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A further field, such as `Accept-Encoding: gzip`.
    #[arg(long = "field")]
    fields: Vec<Field>,
    /// POST with a body of so many bytes.
    #[arg(long)]
    post: Option<usize>,
}

#[derive(Clone)]
struct Field {
    name: String,
    value: String,
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(": ").ok_or("`Name: value` is expected")?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// Writes one request after another.
pub struct Question {
    wanted: Wanted,
    body: Bytes,
    zipf: Option<RefCell<Zipf>>,
}

impl Question {
    pub fn new(wanted: Wanted) -> Self {
        let body = vec![b'x'; wanted.post.unwrap_or(0)].into();
        let zipf = wanted.objects.map(|objects| RefCell::new(Zipf::new(objects, wanted.exponent, wanted.seed)));
        Self { wanted, body, zipf }
    }

    /// The next request for HTTP/1.1, in place of the last one.
    pub fn write_http1(&self, request: &mut Vec<u8>) {
        if !request.is_empty() && self.zipf.is_none() {
            return;
        }
        request.clear();
        let method = if self.wanted.post.is_some() { "POST" } else { "GET" };
        let mut text = format!("{method} {} HTTP/1.1\r\nHost: bench.test\r\n", self.target());
        for Field { name, value } in &self.wanted.fields {
            text += &format!("{name}: {value}\r\n");
        }
        if self.wanted.post.is_some() {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        request.extend_from_slice(text.as_bytes());
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.body);
    }

    pub fn http2(&self) -> io::Result<(http::Request<()>, Bytes)> {
        let mut request = http::Request::builder()
            .method(if self.wanted.post.is_some() { "POST" } else { "GET" })
            .uri(format!("https://bench.test{}", self.target()));
        for Field { name, value } in &self.wanted.fields {
            request = request.header(name, value);
        }
        Ok((request.body(()).map_err(io::Error::other)?, self.body.clone()))
    }

    fn target(&self) -> String {
        let path = &self.wanted.path;
        self.zipf.as_ref().map_or_else(|| path.clone(), |zipf| format!("{path}/{}", zipf.borrow_mut().next()))
    }
}

/// Ranks that are drawn in proportion to `1 / (rank + 1) ^ exponent`.
struct Zipf {
    sums: Vec<f64>,
    random: fastrand::Rng,
}

impl Zipf {
    fn new(objects: usize, exponent: f64, seed: u64) -> Self {
        let sums = (1..=objects).scan(0.0, |sum, rank| {
            *sum += (rank as f64).powf(-exponent);
            Some(*sum)
        });
        Self { sums: sums.collect(), random: fastrand::Rng::with_seed(seed) }
    }

    fn next(&mut self) -> usize {
        let point = self.random.f64() * self.sums.last().copied().unwrap_or(0.0);
        self.sums.partition_point(|sum| *sum <= point)
    }
}

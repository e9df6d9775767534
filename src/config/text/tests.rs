use std::{fmt::Debug, path::Path};

use proptest::prelude::*;

use super::*;
use crate::config::{
    HostPattern, ListenAddress, LogTarget,
    value::{Period, Text},
};

/// Each text is read, and written as the other.
fn read_as<T: Text + Debug>(pairs: &[(&str, &str)]) {
    for (text, written) in pairs {
        match T::parse(text, Path::new("/etc/tidegate")) {
            Ok(value) => assert_eq!(value.text(), *written),
            Err(wrong) => panic!("{text}: {wrong:?}"),
        }
    }
}

/// Each text is refused, with this way out.
fn refused<T: Text + Debug>(pairs: &[(&str, &str)]) {
    for (text, label) in pairs {
        let wrong = T::parse(text, Path::new("/etc/tidegate")).unwrap_err();
        assert!(wrong.label.contains(label), "{text}: {wrong:?}");
    }
}

#[test]
fn addresses_to_listen_on_are_an_ip_and_a_port_or_a_socket() {
    read_as::<ListenAddress>(&[
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::1]:80", "[::1]:80"),
        ("localhost:80", "127.0.0.1:80"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("unix:x.sock", "unix:/etc/tidegate/x.sock"),
    ]);
    refused::<ListenAddress>(&[
        ("80", "`0.0.0.0:80`"),
        (":80", "`0.0.0.0:80`"),
        ("*:80", "`0.0.0.0:80`"),
        ("127.0.0.1", "`127.0.0.1:8080`"),
        ("::1", "`[::1]:8080`"),
        ("[::1]", "`[::1]:8080`"),
        ("http://0.0.0.0:80/", "`0.0.0.0:80`"),
        ("app:80", "an IP address and a port"),
        ("127.0.0.1:65536", "an IP address and a port"),
        ("", "an IP address and a port"),
        ("unix:", "unix:/path"),
    ]);
    let long = format!("unix:/{}", "x".repeat(107));
    refused::<ListenAddress>(&[(&long, "at most 107 bytes")]);
}

#[test]
fn backends_are_addresses_names_sockets_or_urls_without_a_path() {
    read_as::<Backend>(&[
        ("10.0.0.1:3000", "10.0.0.1:3000"),
        ("app_1.internal:3000", "app_1.internal:3000"),
        ("http://[::1]", "[::1]:80"),
        ("https://app/", "https://app:443"),
        ("unix:app.sock", "unix:/etc/tidegate/app.sock"),
    ]);
    refused::<Backend>(&[
        ("app", "`app:3000`"),
        ("10.0.0.1", "`127.0.0.1:3000`"),
        ("10.0.0.1:0", "from 1 to 65535"),
        ("app:0", "from 1 to 65535"),
        ("app:x", "from 1 to 65535"),
        ("http://app/path", "`http://app`"),
        ("http://app:80?x", "`http://app:80`"),
        ("http://user:secret@app", "`request_fields`"),
        ("1.2.3:80", ""),
        ("-app:80", ""),
        ("a..b:80", ""),
        ("ftp://app:80", ""),
    ]);
}

#[test]
fn networks_have_no_bits_behind_their_prefix() {
    read_as::<Network>(&[("10.0.0.0/8", "10.0.0.0/8"), ("::1", "::1/128"), ("10.1.2.3", "10.1.2.3/32")]);
    refused::<Network>(&[("10.0.0.1/8", "`10.0.0.0/8`"), ("10.0.0.0/33", ""), ("loopback", "")]);
}

#[test]
fn hosts_are_lower_case_names_or_whole_label_wildcards() {
    read_as::<HostPattern>(&[
        ("App.Example.COM.", "app.example.com"),
        ("*.Example.com", "*.example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("::1", "[::1]"),
        ("localhost", "localhost"),
    ]);
    refused::<HostPattern>(&[
        ("*", "leave `host` out"),
        ("*a.example.com", "whole labels"),
        ("a.*.com", "whole labels"),
        ("*.-a", "a whole name"),
        ("app.example.com:80", "without its port"),
        ("https://app", "without scheme"),
        ("app/x", "without scheme and path"),
        ("a b", ""),
        ("", ""),
    ]);
}

#[test]
fn paths_begin_with_a_slash_and_stand_as_they_are_sent() {
    read_as::<PathPrefix>(&[("/", "/"), ("/a%20b/", "/a%20b/")]);
    refused::<PathPrefix>(&[
        ("app", "`/app`"),
        ("/a?b", "without query"),
        ("/a#b", "without query"),
        ("/a b", "percent-encoded"),
        ("/é", "percent-encoded"),
        ("/*", "every path"),
    ]);
}

#[test]
fn methods_fields_and_values_keep_to_http() {
    read_as::<Method>(&[("GET", "GET"), ("PURGE", "PURGE")]);
    refused::<Method>(&[("get", "`GET`"), ("G T", ""), ("", "")]);
    read_as::<FieldName>(&[("X-Name", "X-Name")]);
    refused::<FieldName>(&[("X Name", "letters"), ("X:", "letters"), ("", "letters"), ("é", "letters")]);
    refused::<Edited>(&[("content-length", "the gateway's own"), ("Transfer-Encoding", "the gateway's own")]);
    read_as::<FieldValue>(&[(" a b\tc ", "a b\tc"), ("", "")]);
    refused::<FieldValue>(&[("a\r\nb", "one line"), ("a\0", "one line")]);
}

#[test]
fn origins_are_kept_as_browsers_send_them() {
    read_as::<Origin>(&[
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app:443", "https://app"),
        ("http://app:80", "http://app"),
        ("https://app:80", "https://app:80"),
        ("http://app:8080", "http://app:8080"),
    ]);
    refused::<Origin>(&[
        ("app.example.com", "a scheme as well"),
        ("https://app/", "without `/` at the end"),
        ("https://*.app", "host and port only"),
        ("https://", ""),
    ]);
}

#[test]
fn files_are_beside_the_file_that_names_them() {
    read_as::<FilePath>(&[("site.pem", "/etc/tidegate/site.pem"), ("/x.pem", "/x.pem")]);
    read_as::<LogTarget>(&[("stdout", "stdout"), ("off", "off"), ("a.log", "/etc/tidegate/a.log")]);
    refused::<FilePath>(&[("", "")]);
}

#[test]
fn zero_is_a_duration_only_where_it_makes_sense() {
    read_as::<Period<true>>(&[("0", "0s"), ("90s", "1m30s")]);
    refused::<Period<false>>(&[("0s", "above zero"), ("200000d", "a hundred years"), ("5 minutes", "`m`")]);
}

/// What is written of a value is read as the same value.
fn settles<T: Text>(text: &str) {
    if let Ok(value) = T::parse(text, Path::new("/d")) {
        let written = value.text();
        let again = T::parse(&written, Path::new("/elsewhere"));
        assert_eq!(again.ok().map(|value| value.text()), Some(written), "{text}");
    }
}

proptest! {
    #[test]
    fn every_text_that_is_read_is_read_again_as_written(
        text in prop_oneof!["[a-z0-9.:/*@#?% \\[\\]-]{0,20}", "(https?://|unix:|\\*\\.)?[a-z0-9.:\\[\\]/-]{0,16}", ".{0,20}"]
    ) {
        settles::<ListenAddress>(&text);
        settles::<Backend>(&text);
        settles::<Network>(&text);
        settles::<HostPattern>(&text);
        settles::<PathPrefix>(&text);
        settles::<Method>(&text);
        settles::<FieldName>(&text);
        settles::<FieldValue>(&text);
        settles::<Origin>(&text);
        settles::<Label>(&text);
        settles::<CertificateName>(&text);
        settles::<Period<true>>(&text);
    }
}

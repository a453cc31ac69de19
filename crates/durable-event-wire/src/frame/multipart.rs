//! Form bodies (RFC 7578) as oRPC uses them: a JSON field and numbered files.

use std::fmt::Write;

use crate::{Blob, Serialized};

const LINE_END: &[u8] = b"\r\n";
const HEADERS_END: &[u8] = b"\r\n\r\n";
const DASHES: &[u8] = b"--";
/// The maximum length of a boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;
/// The maximum number of headers of a part. Valid parts have two.
const MAX_HEADERS: usize = 16;
/// The file name of a blob without a name, as in the File API.
const DEFAULT_NAME: &str = "blob";
/// The content type of a file without a type (RFC 7578, section 4.4, through the Fetch standard).
const DEFAULT_TYPE: &str = "application/octet-stream";

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The content.
    pub content: FieldContent,
}

/// The content of a form's field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldContent {
    /// A text.
    Text(String),
    /// A file.
    File(Blob),
}

/// An encoded form.
pub(crate) struct Form {
    pub(crate) content_type: String,
    pub(crate) bytes: Vec<u8>,
}

/// Encodes a serialized value with blobs as a form.
pub(crate) fn write(body: &Serialized) -> Form {
    let boundary = boundary_for(body);
    let mut bytes = Vec::new();
    let mut part = |disposition: &str, content: &[&[u8]]| {
        bytes.extend_from_slice(DASHES);
        bytes.extend_from_slice(boundary.as_bytes());
        bytes.extend_from_slice(b"\r\nContent-Disposition: form-data; ");
        bytes.extend_from_slice(disposition.as_bytes());
        content.iter().for_each(|content| bytes.extend_from_slice(content));
        bytes.extend_from_slice(LINE_END);
    };

    let mut data = String::from("{");
    for (key, half) in [("json", &body.json), ("meta", &body.meta)] {
        if let Some(half) = half {
            // Writing into a String cannot fail.
            let _ = write!(data, "\"{key}\":{half},");
        }
    }
    data.push_str("\"maps\":[");
    for (at, (path, _)) in body.blobs.iter().enumerate() {
        data.push_str(if at > 0 { "," } else { "" });
        data.push_str(path);
    }
    data.push_str("]}");
    part("name=\"data\"", &[HEADERS_END, data.as_bytes()]);

    for (number, (_, blob)) in body.blobs.iter().enumerate() {
        let name = escape(blob.get_name().unwrap_or(DEFAULT_NAME));
        let content_type =
            Some(blob.get_content_type()).filter(|kind| !kind.is_empty()).unwrap_or(DEFAULT_TYPE);
        part(
            &format!("name=\"{number}\"; filename=\"{name}\"\r\nContent-Type: {content_type}"),
            &[HEADERS_END, blob.bytes()],
        );
    }
    bytes.extend_from_slice(DASHES);
    bytes.extend_from_slice(boundary.as_bytes());
    bytes.extend_from_slice(DASHES);
    bytes.extend_from_slice(LINE_END);
    Form { content_type: format!("multipart/form-data; boundary={boundary}"), bytes }
}

/// The prefix of our boundaries. A number of sixteen hexadecimal digits follows.
const BOUNDARY: &str = "----durable-event-iterator-";
const BOUNDARY_DIGITS: usize = 16;

/// Returns a boundary that does not occur in the content.
///
/// It is not random, so that the same value always has the same encoding. The content is scanned once, regardless of
/// the number of boundaries in it.
fn boundary_for(body: &Serialized) -> String {
    let texts = [&body.json, &body.meta].into_iter().flatten().map(String::as_bytes);
    let paths = body.blobs.iter().map(|(path, _)| path.as_bytes());
    let names = body.blobs.iter().filter_map(|(_, blob)| blob.get_name()).map(str::as_bytes);
    let types = body.blobs.iter().map(|(_, blob)| blob.get_content_type().as_bytes());
    let files = body.blobs.iter().map(|(_, blob)| blob.bytes());
    let all = texts.chain(paths).chain(names).chain(types).chain(files);
    let taken: Vec<usize> = all.flat_map(taken).collect();
    // If n numbers are taken, at least one of the first n + 1 numbers is free.
    let mut is_free = vec![true; taken.len().saturating_add(1)];
    for number in taken {
        if let Some(is_free) = is_free.get_mut(number) {
            *is_free = false;
        }
    }
    let number = is_free.iter().position(|is_free| *is_free).unwrap_or_default();
    format!("{BOUNDARY}{number:016x}")
}

/// Returns the numbers of the boundaries that occur in `bytes`.
fn taken(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let at = find(rest, BOUNDARY.as_bytes())?;
        let after = rest.get(at.checked_add(BOUNDARY.len())?..)?;
        // The last dash may be the first one of the next boundary.
        rest = rest.get(at.checked_add(BOUNDARY.len().checked_sub(1)?)?..)?;
        let digits = after.get(..BOUNDARY_DIGITS).and_then(|digits| str::from_utf8(digits).ok());
        Some(digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()))
    })
    .flatten()
}

/// Returns the boundary in a content type.
pub(super) fn boundary_of(content_type: &str) -> Option<&str> {
    let (_, parameters) = content_type.split_once(';')?;
    let boundary = parameter(parameters, "boundary")?;
    let is_valid = !boundary.is_empty()
        && boundary.len() <= MAX_BOUNDARY
        && boundary.bytes().all(|b| (b' '..0x7f).contains(&b));
    is_valid.then_some(boundary)
}

/// Decodes a form. Returns `None` if it is malformed.
pub(super) fn read(bytes: &[u8], boundary: &str) -> Option<Vec<Field>> {
    let opening = [DASHES, boundary.as_bytes()].concat();
    let closing = [LINE_END, &opening].concat();
    let mut fields = Vec::new();
    let mut rest = bytes.strip_prefix(opening.as_slice())?;
    loop {
        // After a boundary follows the next part or the end.
        if rest.starts_with(DASHES) {
            return Some(fields);
        }
        rest = rest.strip_prefix(LINE_END)?;
        let end = find_closing(rest, &closing)?;
        fields.push(read_part(rest.get(..end)?)?);
        rest = rest.get(end.checked_add(closing.len())?..)?;
    }
}

/// Returns the end of a part. A boundary followed by other characters is content.
fn find_closing(bytes: &[u8], closing: &[u8]) -> Option<usize> {
    let mut from = 0_usize;
    loop {
        let at = from.checked_add(find(bytes.get(from..)?, closing)?)?;
        let after = bytes.get(at.checked_add(closing.len())?..)?;
        if after.starts_with(DASHES) || after.starts_with(LINE_END) {
            return Some(at);
        }
        from = at.checked_add(1)?;
    }
}

fn read_part(part: &[u8]) -> Option<Field> {
    let headers_end = find(part, HEADERS_END)?;
    let headers = str::from_utf8(part.get(..headers_end)?).ok()?;
    let content = part.get(headers_end.checked_add(HEADERS_END.len())?..)?;
    let mut disposition = None;
    let mut content_type = None;
    for (count, header) in headers.split("\r\n").enumerate() {
        let (name, value) = header.split_once(':').filter(|_| count < MAX_HEADERS)?;
        if name.eq_ignore_ascii_case("content-disposition") {
            disposition = Some(value.trim());
        } else if name.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.trim());
        }
    }
    let (_, parameters) =
        disposition?.split_once(';').filter(|(kind, _)| kind.trim().eq_ignore_ascii_case("form-data"))?;
    let name = unescape(parameter(parameters, "name")?);
    let content = match (parameter(parameters, "filename"), content_type) {
        (None, None) => FieldContent::Text(String::from_utf8(content.to_vec()).ok()?),
        // Node's fetch omits an empty file name, but never a file's type.
        (filename, content_type) => {
            let blob = Blob::new(content.to_vec()).name(unescape(filename.unwrap_or_default()));
            // The default type is text (RFC 7578, section 4.4).
            FieldContent::File(blob.content_type(content_type.unwrap_or("text/plain")))
        }
    };
    Some(Field { name, content })
}

/// Returns the value of a parameter in `; name="value"; other=value`.
fn parameter<'a>(parameters: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches([' ', '\t', ';']);
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                let (value, after) = after.split_at_checked(end)?;
                (value.trim(), after)
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// Escapes a name in a form as the HTML standard does.
fn escape(name: &str) -> String {
    name.replace('\n', "%0A").replace('\r', "%0D").replace('"', "%22")
}

fn unescape(name: &str) -> String {
    name.replace("%0A", "\n").replace("%0D", "\r").replace("%22", "\"")
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut from = 0_usize;
    loop {
        let rest = bytes.get(from..)?;
        let at = from.checked_add(rest.iter().position(|byte| byte == first)?)?;
        if bytes.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        from = at.checked_add(1)?;
    }
}

#[cfg(test)]
mod tests;

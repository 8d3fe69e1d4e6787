//! Lists as CSV (RFC 4180), however long: rows go out page by page, and no more than a page is kept.

use std::future::Future;
use std::io;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use cityevents_kit::Problem;
use futures::{StreamExt as _, stream};

/// Rows that are read at once.
pub(crate) const PAGE: usize = 500;

/// Rows of a list, and where to go on.
pub(crate) type Rows<P> = (Vec<Vec<String>>, Option<P>);

/// A list as an answer. `page` reads the rows behind a place; the first page is read before the
/// answer begins, so that what is wrong from the start is a problem like any other. Later the answer
/// breaks off, and the client sees that it is not whole.
pub(crate) async fn answer<P, F, R>(
    file: &'static str,
    header: &[&'static str],
    mut page: F,
) -> Result<Response, Problem>
where
    P: Send + 'static,
    F: FnMut(Option<P>) -> R + Send + 'static,
    R: Future<Output = Result<Rows<P>, Problem>> + Send,
{
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    let (mut rows, next) = page(None).await?;
    rows.insert(0, header);
    let first = write(&rows).map_err(|_| Problem::internal())?;
    let rest = stream::unfold((next, page), |(next, mut page)| async move {
        let after = next?;
        let chunk = match page(Some(after)).await {
            Ok((rows, next)) => (write(&rows), next),
            // The cause is in the log already.
            Err(problem) => (Err(io::Error::other(problem.code().as_str())), None),
        };
        Some((chunk.0, (chunk.1, page)))
    });
    let body = stream::once(async { Ok(first) }).chain(rest);
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let file = HeaderValue::try_from(format!("attachment; filename=\"{file}\""));
    headers.insert(CONTENT_DISPOSITION, file.map_err(|_| Problem::internal())?);
    Ok(response)
}

fn write(rows: &[Vec<String>]) -> io::Result<Bytes> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(vec![]);
    for row in rows {
        writer.write_record(row.iter().map(|cell| inert(cell)))?;
    }
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.into())
}

/// A cell that no spreadsheet takes for a formula:
/// <https://owasp.org/www-community/attacks/CSV_Injection>.
fn inert(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_none() {
        let row = ["plain", "a,b", "say \"hi\"", "=1+1", "two\nlines"].map(str::to_owned).to_vec();
        let written = String::from_utf8(write(&[row]).unwrap().to_vec()).unwrap();
        assert_eq!(written, "plain,\"a,b\",\"say \"\"hi\"\"\",'=1+1,\"two\nlines\"\r\n");
    }
}

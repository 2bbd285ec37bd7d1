//! Lists that come in pages.

use hyper::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{ManagementError, error::Asked, http::Api, path::Path};

/// The most that RabbitMQ gives at once.
const PAGE_SIZE: usize = 500;
/// So often a list is read anew that changed while its pages were read.
const ROUNDS: usize = 5;

/// One page of a list.
#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    page_count: usize,
    total_count: usize,
}

/// Reads all pages of a list.
///
/// Pages are counted from the front, so what is deleted or declared meanwhile moves the rest from page to page. The list is
/// whole if its length was the same on every page and that many came; otherwise it is read anew.
pub(crate) async fn list<T: DeserializeOwned>(
    api: &Api,
    object: &str,
    path: &Path,
) -> Result<Vec<T>, ManagementError> {
    for _ in 0..ROUNDS {
        if let Some(whole) = round(api, object, path).await? {
            return Ok(whole);
        }
    }
    Err(ManagementError::changing(Asked { object, url: &api.url(path) }, ROUNDS))
}

/// Reads all pages once; `None` if the list changed meanwhile.
async fn round<T: DeserializeOwned>(
    api: &Api,
    object: &str,
    path: &Path,
) -> Result<Option<Vec<T>>, ManagementError> {
    let mut found = Vec::new();
    let mut total = None;
    for number in 1.. {
        let at = path.query(&format!("page={number}&page_size={PAGE_SIZE}"));
        let (status, body) = api.send(object, &at).await?;
        if status == StatusCode::BAD_REQUEST && number > 1 {
            // The list has become so short that there is no such page.
            return Ok(None);
        }
        if status != StatusCode::OK {
            return Err(api.refusal(object, &at, status, &body));
        }
        let page: Page<T> = api.read(object, &at, &body)?;
        if *total.get_or_insert(page.total_count) != page.total_count {
            return Ok(None);
        }
        found.extend(page.items);
        if number >= page.page_count {
            break;
        }
    }
    Ok((total == Some(found.len())).then_some(found))
}

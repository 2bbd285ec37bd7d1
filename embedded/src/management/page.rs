//! Pages of lists. <https://www.rabbitmq.com/docs/management#http-api-pagination>

use hyper::StatusCode;
use serde_json::{Value, json};

use super::route::Answer;

/// Without `page_size`.
const DEFAULT_SIZE: usize = 100;
const MAX_SIZE: usize = 500;

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    number: usize,
    size: usize,
}

impl Page {
    /// Reads which page is asked for; `None` if the whole list is.
    ///
    /// # Errors
    ///
    /// Fails with the answer to a number that is none.
    pub(super) fn of_query(query: &str) -> Result<Option<Self>, Answer> {
        let value = |key: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).map(|text| {
                text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                    Answer::bad_request(&format!("`{key}` must be a number from 1, but it is `{text}`"))
                })
            })
        };
        let Some(number) = value("page").transpose()? else { return Ok(None) };
        let size = value("page_size").transpose()?.unwrap_or(DEFAULT_SIZE);
        if size > MAX_SIZE {
            return Err(Answer::bad_request(&format!(
                "`page_size` must be at most {MAX_SIZE}, but it is {size}"
            )));
        }
        Ok(Some(Self { number, size }))
    }

    /// Cuts the page out of a list; `rabbit_mgmt_util.erl`, `reply_list_or_paginate`.
    pub(super) fn cut(self, list: Vec<Value>) -> Answer {
        let Self { number, size } = self;
        let total = list.len();
        let pages = total.div_ceil(size);
        if number > pages.max(1) {
            let reason = format!("Page out of range, page: {number} page size: {size}, len: {total}");
            return Answer::error(StatusCode::BAD_REQUEST, "page_out_of_range", &reason);
        }
        let items: Vec<_> = list.into_iter().skip((number - 1) * size).take(size).collect();
        Answer::ok(json!({
            "total_count": total,
            "filtered_count": total,
            "item_count": items.len(),
            "page": number,
            "page_size": size,
            "page_count": pages,
            "items": items,
        }))
    }
}

/// Tells whether the list at this path comes in pages if asked to; the others ignore the question.
pub(super) fn has_pages(path: &[&str]) -> bool {
    matches!(
        path,
        ["queues" | "exchanges" | "connections" | "channels" | "users" | "vhosts"]
            | ["queues" | "exchanges", _]
            | ["vhosts", _, "connections" | "channels"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, len: usize, status: u16, expected: &Value) {
        let list: Vec<Value> = (0..len).map(Value::from).collect();
        let answer = match Page::of_query(query) {
            Ok(Some(page)) => page.cut(list),
            Ok(None) => panic!("`{query}` asks for a page"),
            Err(refusal) => refusal,
        };
        assert_eq!(answer.status.as_u16(), status);
        let body = answer.body.unwrap();
        assert_eq!(&json!([body["items"], body["page_count"], body["total_count"]]), expected);
    }

    #[test]
    fn a_list_is_cut_into_pages() {
        check("page=1&page_size=2", 5, 200, &json!([[0, 1], 3, 5]));
        check("page=3&page_size=2", 5, 200, &json!([[4], 3, 5]));
        check("page=1", 0, 200, &json!([[], 0, 0]));
        check("page=4&page_size=2", 5, 400, &json!([null, null, null]));
        check("page=0", 5, 400, &json!([null, null, null]));
        check("page=1&page_size=501", 5, 400, &json!([null, null, null]));
        assert_eq!(Page::of_query("columns=name").ok(), Some(None));
    }
}

//! Examples of Garenne, one idea a file.
//!
//! ```sh
//! cargo run -p garenne-examples --example testing     # needs nothing: it brings the embedded broker
//! cargo run -p garenne-cli -- broker &                # the embedded broker on port 5672, or a RabbitMQ that `AMQP_URL` names
//! cargo run -p garenne-examples --example publish
//! ```

#[cfg(test)]
mod tests {
    const README: &str = include_str!("../README.md");
    const FIRST_SERVICE: &str = include_str!("first_service.rs");

    /// Leaves out what rustfmt may change: white space, and commas before a closing bracket.
    fn essence(code: &str) -> String {
        let dense: String = code.chars().filter(|character| !character.is_whitespace()).collect();
        dense.replace(",}", "}").replace(",)", ")")
    }

    #[test]
    fn the_first_service_of_the_readme_is_the_example() {
        let (_, section) = README.split_once("## A first service").expect("the README has a first service");
        let (_, block) = section.split_once("```rust").expect("it is shown");
        let (_, code) = block.split_once('\n').expect("the fence ends its line");
        let (code, _) = code.split_once("```").expect("the fence is closed");
        let example = FIRST_SERVICE.split_once("\n\n").expect("its documentation comes first").1;
        assert_eq!(essence(example), essence(code), "copy the one to the other");
    }
}

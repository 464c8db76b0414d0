//! Gets the URL in the first argument.

fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let body = ureq::get(&url).call().unwrap().body_mut().read_to_vec().unwrap();
    println!("{} bytes", body.len());
}

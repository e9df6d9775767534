use super::*;

#[test]
fn after_the_head_only_a_clients_own_fault_ends_an_answer() {
    assert!(Fault::Client(ClientFault::Gone).is_fatal_after_head());
    assert!(!Fault::Client(ClientFault::BodyTooLarge).is_fatal_after_head());
    assert!(!Fault::Backend(Failure::Closed { reused: false }).is_fatal_after_head());
}

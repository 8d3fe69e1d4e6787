//! The contract of the tables, on the database.

cityevents_views::contract_suite!(crate::keyspaces::open);

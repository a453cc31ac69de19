//! Durable Objects with every kind of type. Their generated TypeScript interfaces are in `generated.ts`, and `types.ts` checks
//! them. Needs the feature `typescript`.

#![cfg(all(test, feature = "typescript"))]

mod guide;
mod objects;
mod tests;

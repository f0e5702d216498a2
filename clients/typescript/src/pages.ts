/** Lists as iterators over all their pages. */

/** What every list of the API answers. */
export interface Page<T> {
  data: T[];
  next_cursor?: string | null;
}

/** An operation that answers a page; what it takes is inferred from it. */
export type ListOperation = (options: any) => PromiseLike<Page<unknown> | undefined>;

/** The objects in the pages of an operation. */
export type ItemOf<Operation extends ListOperation> =
  NonNullable<Awaited<ReturnType<Operation>>> extends Page<infer T> ? T : never;

/**
 * All objects of a list, page after page, as they are read:
 * `for await (const payment of items(listPayments, { client, query: { status: "succeeded" } }))`.
 * A page is fetched when the one before is used up.
 */
export async function* items<Operation extends ListOperation>(
  operation: Operation,
  options: NonNullable<Parameters<Operation>[0]>,
): AsyncGenerator<ItemOf<Operation>, void, undefined> {
  let cursor: string | null | undefined = options.query?.cursor;
  do {
    const query = cursor ? { ...options.query, cursor } : options.query;
    const page = (await operation({ ...options, query })) as Page<ItemOf<Operation>>;
    yield* page.data;
    cursor = page.next_cursor;
  } while (cursor);
}

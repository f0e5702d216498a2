// What is counted and added up from the API's answers.

/** [[currency, sum of the attribute `of`], …], by currency. Amounts of different currencies are never added. */
export function sums(payments, of = "amount") {
  const byCurrency = new Map();
  for (const payment of payments) byCurrency.set(payment.currency, (byCurrency.get(payment.currency) ?? 0n) + BigInt(payment[of]));
  return [...byCurrency].sort();
}

/** How many payments a day had, in whatever status. */
export function total(byStatus) {
  return Object.values(byStatus).reduce((sum, count) => sum + count, 0);
}

/** Succeeded among the decided payments, from 0 to 1; null on a day without any. */
export function successRate({ succeeded = 0, failed = 0 }) {
  return succeeded + failed === 0 ? null : succeeded / (succeeded + failed);
}

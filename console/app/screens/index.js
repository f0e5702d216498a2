// Every screen. A screen is {name, title, Screen, DetailScreen?, needsMerchant?, operatorsOnly?, hidden?}:
// #/name shows Screen, #/name/id shows DetailScreen with the id.
import { accounts } from "./accounts.js";
import { audit } from "./audit.js";
import { customers } from "./customers.js";
import { home } from "./home.js";
import { apiKeys, exportFiles, webhooks } from "./integration.js";
import { alerts, operations } from "./operations.js";
import { payments } from "./payments.js";
import { exceptions, settlements } from "./reconciliation.js";
import { search } from "./search.js";
import { transactions } from "./transactions.js";
import { transfers } from "./transfers.js";

const SCREENS = [
  home, payments, accounts, transfers, customers, settlements, exceptions, webhooks, audit, exportFiles, alerts, apiKeys, operations,
  search, transactions,
];

/** The screens in the navigation, in its order. */
export const NAVIGATION = SCREENS.filter((screen) => !screen.hidden);

/** The screen of a route, with the component to show; undefined if the address is wrong. */
export function screenOf(name, parts) {
  const screen = SCREENS.find((each) => each.name === name);
  if (!screen || parts.length === 0) return screen;
  // One thing is found by its id, whoever's it is: no merchant has to be chosen for it.
  return screen.DetailScreen && { ...screen, Screen: screen.DetailScreen, needsMerchant: false };
}

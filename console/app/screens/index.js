// Every screen. A screen is {name, title, Screen, DetailScreen?, needs?: a permission, needsMerchant?, operatorsOnly?, hidden?}:
// #/name shows Screen, #/name/id shows DetailScreen with the id.
import { accounts } from "./accounts.js";
import { alerts } from "./alerts.js";
import { apiKeys } from "./api_keys.js";
import { audit } from "./audit.js";
import { customers } from "./customers.js";
import { exceptions } from "./exceptions.js";
import { exportFiles } from "./exports.js";
import { home } from "./home.js";
import { operations } from "./operations.js";
import { payments } from "./payments.js";
import { search } from "./search.js";
import { settlements } from "./settlements.js";
import { transactions } from "./transactions.js";
import { transfers } from "./transfers.js";
import { webhooks } from "./webhooks.js";

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

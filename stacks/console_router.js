// Runs in CloudFront at each request of a viewer that is not for the API (runtime cloudfront-js-2.0).
// The stack fills in the four constants: stacks/console.py.
const FILES = '__FILES__';
const HEADERS = '__HEADERS__';
const SIGN_IN = '__SIGN_IN__';
const ERROR_TYPES = '__ERROR_TYPES__';

function answer(status, description, type, cache, text) {
  const headers = { 'content-type': { value: type }, 'cache-control': { value: cache } };
  for (const name in HEADERS) {
    headers[name] = { value: HEADERS[name] };
  }
  return {
    statusCode: status,
    statusDescription: description,
    headers: headers,
    body: { encoding: 'text', data: text },
  };
}

function handler(event) {
  const request = event.request;
  if (request.uri === '/console') {
    request.uri = '/console/index.html';
    return request;
  }
  if (request.uri === '/' || request.uri === '/console/') {
    return {
      statusCode: 302,
      statusDescription: 'Found',
      headers: { location: { value: '/console' } },
    };
  }
  if (request.uri === '/console/config.json') {
    return answer(200, 'OK', 'application/json', 'no-cache', SIGN_IN);
  }
  if (FILES.indexOf(request.uri) !== -1) {
    return request;
  }
  const problem = {
    type: ERROR_TYPES + 'not_found',
    title: 'The resource does not exist',
    status: 404,
    detail: 'The console has no such file',
    code: 'not_found',
  };
  const text = JSON.stringify(problem);
  return answer(404, 'Not Found', 'application/problem+json', 'no-store', text);
}

// Each payment needs its own key, so each try that keeps the example's key sends a new one.
const EXAMPLE_KEY = '5f0c1a52-3d8e-4f1b-9a55-2f6f0f7f8a10';

function withFreshKey(request) {
  if (request.headers?.['Idempotency-Key'] === EXAMPLE_KEY) {
    request.headers['Idempotency-Key'] = crypto.randomUUID();
  }
  return request;
}

SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#ui',
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: true,
  defaultModelsExpandDepth: -1,
  requestInterceptor: withFreshKey,
});

import vue from '@vitejs/plugin-vue';

const isCustomElement = (tag) => tag.startsWith('qwen-');

export default { plugins: [vue({ template: { compilerOptions: { isCustomElement } } })] };
